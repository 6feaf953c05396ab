// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Test} from "forge-std/Test.sol";

import {FeeSchedule} from "../../contracts/governance/FeeSchedule.sol";
import {IFeeSchedule} from "../../contracts/interfaces/IFeeSchedule.sol";

contract FeeScheduleTest is Test {
    address internal immutable OWNER = makeAddr("owner");
    uint64 internal constant NOTICE = 3600;
    uint64 internal constant NOW = 1_800_000_000;

    FeeSchedule internal feeSchedule;

    function setUp() public {
        vm.warp(NOW);
        feeSchedule = new FeeSchedule(OWNER, _rules(1000, 32), NOTICE);
    }

    function test_constructor_appliesTheFirstRulesFromZero() public {
        vm.expectEmit();
        emit IFeeSchedule.RulesScheduled(0, _rules(1000, 32));
        new FeeSchedule(OWNER, _rules(1000, 32), NOTICE);

        assertEq(feeSchedule.minNotice(), NOTICE, "notice");
        uint64[3] memory times = [uint64(0), NOW, type(uint64).max];
        for (uint256 i = 0; i < times.length; i++) {
            IFeeSchedule.Rules memory rules = feeSchedule.rulesAt(times[i]);
            assertEq(rules.split.platformBps, 1000, "platform");
            assertEq(rules.split.modelBps, 2000, "model");
            assertEq(rules.split.stakersBps, 2000, "stakers");
            assertEq(rules.split.contributorsBps, 5000, "contributors");
            assertEq(rules.maxCredits, 32, "credits");
        }
    }

    function test_constructor_reverts_whenRulesAreInvalid() public {
        IFeeSchedule.Rules memory rules = _rules(1000, 32);
        rules.split.modelBps += 1;
        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.SplitNotWhole.selector, 10_001));
        new FeeSchedule(OWNER, rules, NOTICE);

        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.MaxCreditsOutOfRange.selector, 0));
        new FeeSchedule(OWNER, _rules(1000, 0), NOTICE);
    }

    function test_schedule_appliesFromItsActivationOnly() public {
        vm.expectEmit(address(feeSchedule));
        emit IFeeSchedule.RulesScheduled(NOW + NOTICE, _rules(500, 64));
        _schedule(_rules(500, 64), NOW + NOTICE);

        assertEq(feeSchedule.rulesAt(NOW).split.platformBps, 1000, "now");
        assertEq(feeSchedule.rulesAt(NOW + NOTICE - 1).split.platformBps, 1000, "a second before");
        assertEq(feeSchedule.rulesAt(NOW + NOTICE).split.platformBps, 500, "at activation");
        assertEq(feeSchedule.rulesAt(type(uint64).max).maxCredits, 64, "after");
    }

    function test_schedule_dropsRulesScheduledForThenOrLater() public {
        _schedule(_rules(100, 1), NOW + NOTICE);
        _schedule(_rules(200, 2), NOW + 2 * NOTICE);
        _schedule(_rules(300, 3), NOW + 3 * NOTICE);

        _schedule(_rules(400, 4), NOW + 2 * NOTICE);

        assertEq(feeSchedule.rulesAt(NOW + NOTICE).maxCredits, 1, "earlier rules stay");
        assertEq(feeSchedule.rulesAt(NOW + 2 * NOTICE).maxCredits, 4, "the same activation is replaced");
        assertEq(feeSchedule.rulesAt(NOW + 3 * NOTICE).maxCredits, 4, "later ones are dropped");
    }

    function test_schedule_recoversFromAMistakenFarActivation() public {
        _schedule(_rules(100, 1), type(uint64).max);
        _schedule(_rules(200, 2), NOW + NOTICE);

        assertEq(feeSchedule.rulesAt(type(uint64).max).maxCredits, 2, "far future");
    }

    function test_schedule_reverts_whenSplitIsNotWhole() public {
        IFeeSchedule.Rules memory rules = _rules(1000, 32);
        rules.split.contributorsBps -= 1;

        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.SplitNotWhole.selector, 9999));
        _schedule(rules, NOW + NOTICE);

        // A sum that would wrap to 10_000 in 16 bits.
        rules.split = IFeeSchedule.Split({platformBps: 65_535, modelBps: 10_001, stakersBps: 0, contributorsBps: 0});
        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.SplitNotWhole.selector, 75_536));
        _schedule(rules, NOW + NOTICE);
    }

    function test_schedule_reverts_whenMaxCreditsIsOutOfRange() public {
        _schedule(_rules(1000, 1), NOW + NOTICE);
        _schedule(_rules(1000, 64), NOW + NOTICE);

        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.MaxCreditsOutOfRange.selector, 0));
        _schedule(_rules(1000, 0), NOW + NOTICE);
        vm.expectRevert(abi.encodeWithSelector(IFeeSchedule.MaxCreditsOutOfRange.selector, 65));
        _schedule(_rules(1000, 65), NOW + NOTICE);
    }

    function test_schedule_reverts_whenActivationIsTooEarly() public {
        vm.expectRevert(
            abi.encodeWithSelector(IFeeSchedule.ActivationTooEarly.selector, NOW + NOTICE - 1, NOW + NOTICE)
        );
        _schedule(_rules(500, 32), NOW + NOTICE - 1);
    }

    function test_schedule_reverts_whenActivationWouldRewriteRulesWithinNotice() public {
        _schedule(_rules(100, 1), NOW + NOTICE);
        vm.warp(NOW + 1);

        vm.expectRevert(
            abi.encodeWithSelector(IFeeSchedule.ActivationTooEarly.selector, NOW + NOTICE, NOW + NOTICE + 1)
        );
        _schedule(_rules(200, 2), NOW + NOTICE);
    }

    function test_schedule_reverts_whenCallerIsNotOwner() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        feeSchedule.schedule(_rules(500, 32), NOW + NOTICE);
    }

    /// @dev Against a list searched from its end.
    function testFuzz_rulesAt_findsTheLastActivationAtOrBefore(uint64[8] memory gaps, uint64 time) public {
        uint64[9] memory activations;
        for (uint8 i = 1; i <= 8; i++) {
            activations[i] = uint64(bound(gaps[i - 1], 1, 10_000)) + (i == 1 ? NOW + NOTICE : activations[i - 1]);
            _schedule(_rules(1000, i), activations[i]);
        }
        time = uint64(bound(time, NOW, activations[8] + 1));

        uint8 expected = 32;
        for (uint8 i = 8; i > 0; i--) {
            if (activations[i] <= time) {
                expected = i;
                break;
            }
        }
        assertEq(feeSchedule.rulesAt(time).maxCredits, expected, "rules");
    }

    function testFuzz_schedule_neverChangesRulesWithinNotice(uint64[6] memory activations, uint64 time) public {
        for (uint8 i = 0; i < activations.length; i++) {
            time = uint64(bound(time, 0, block.timestamp + NOTICE - 1));
            uint8 before = feeSchedule.rulesAt(time).maxCredits;
            _schedule(_rules(1000, i + 1), uint64(bound(activations[i], block.timestamp + NOTICE, NOW + 50_000)));

            assertEq(feeSchedule.rulesAt(time).maxCredits, before, "rules");
            vm.warp(block.timestamp + activations[i] % 7000);
        }
    }

    function _schedule(IFeeSchedule.Rules memory rules, uint64 activation) private {
        vm.prank(OWNER);
        feeSchedule.schedule(rules, activation);
    }

    /// @dev What the platform gives up goes to the contributors.
    function _rules(uint16 platformBps, uint8 maxCredits) private pure returns (IFeeSchedule.Rules memory) {
        return IFeeSchedule.Rules({
            split: IFeeSchedule.Split({
                platformBps: platformBps, modelBps: 2000, stakersBps: 2000, contributorsBps: 6000 - platformBps
            }),
            maxCredits: maxCredits
        });
    }
}
