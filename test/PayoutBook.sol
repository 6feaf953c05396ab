// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {EarnerIndex} from "../contracts/types/Ids.sol";
import {DevSrs} from "./DevSrs.sol";

/// @notice What earners are owed, as numbers: the model that Settlement's commitments are compared with. It is the
/// prover's part in tests, making commitments and witnesses from the secret of `DevSrs`.
contract PayoutBook {
    struct Payout {
        uint32 earner;
        uint64 amount;
    }

    /// @dev The state of an earner from `version` of its page on.
    struct Entry {
        uint64 version;
        uint64 cumulative;
    }

    uint32 public immutable pageSize;

    mapping(uint32 page => uint64 version) public latest;
    mapping(uint32 page => mapping(uint64 version => uint256 value)) public atTau;
    mapping(uint32 earner => Entry[]) private _history;

    constructor(uint32 pageSize_) {
        pageSize = pageSize_;
    }

    /// @notice Pages, commitments and total of payouts sorted by earner.
    function commit(Payout[] memory payouts)
        public
        view
        returns (uint32[] memory pages, G1Point[] memory commitments, uint64 total)
    {
        uint256[] memory values;
        (pages, values, total) = _sum(payouts);

        commitments = new G1Point[](values.length);
        for (uint256 i; i < values.length; ++i) {
            commitments[i] = Kzg.mul(Kzg.generator(), values[i]);
        }
    }

    /// @notice Books payouts whose batch has become final.
    function finalise(Payout[] memory payouts) external {
        (uint32[] memory pages, uint256[] memory values,) = _sum(payouts);

        for (uint256 i; i < pages.length; ++i) {
            uint64 version = ++latest[pages[i]];
            atTau[pages[i]][version] = addmod(atTau[pages[i]][version - 1], values[i], DevSrs.R);
        }
        for (uint256 i; i < payouts.length; ++i) {
            uint32 earner = payouts[i].earner;
            _history[earner].push(Entry(latest[earner / pageSize], cumulativeOf(earner) + payouts[i].amount));
        }
    }

    function cumulativeOf(uint32 earner) public view returns (uint64) {
        return cumulativeAt(earner, latest[earner / pageSize]);
    }

    function cumulativeAt(uint32 earner, uint64 version) public view returns (uint64 cumulative) {
        Entry[] storage entries = _history[earner];
        for (uint256 i; i < entries.length && entries[i].version <= version; ++i) {
            cumulative = entries[i].cumulative;
        }
    }

    function commitmentOf(uint32 page) external view returns (G1Point memory) {
        return Kzg.mul(Kzg.generator(), atTau[page][latest[page]]);
    }

    function claimOf(uint32 earner) external view returns (ISettlement.Claim memory) {
        return claimAt(earner, latest[earner / pageSize]);
    }

    function claimAt(uint32 earner, uint64 version) public view returns (ISettlement.Claim memory) {
        uint64 cumulative = cumulativeAt(earner, version);
        uint256 point = Kzg.pow(Kzg.rootOfUnity(pageSize), earner % pageSize);

        return ISettlement.Claim({
            earner: EarnerIndex.wrap(earner),
            cumulativeEarnings: cumulative,
            version: version,
            witness: DevSrs.witness(atTau[earner / pageSize][version], point, cumulative)
        });
    }

    /// @dev Value at tau of each page's P.
    function _sum(Payout[] memory payouts)
        private
        view
        returns (uint32[] memory pages, uint256[] memory values, uint64 total)
    {
        uint256 count;
        pages = new uint32[](payouts.length);
        values = new uint256[](payouts.length);
        for (uint256 i; i < payouts.length; ++i) {
            uint32 page = payouts[i].earner / pageSize;
            if (count == 0 || pages[count - 1] != page) pages[count++] = page;

            uint256 share = mulmod(payouts[i].amount, DevSrs.lagrange(pageSize, payouts[i].earner % pageSize), DevSrs.R);
            values[count - 1] = addmod(values[count - 1], share, DevSrs.R);
            total += payouts[i].amount;
        }
        (pages, values) = _shorten(pages, values, count);
    }

    function _shorten(uint32[] memory pages, uint256[] memory values, uint256 count)
        private
        pure
        returns (uint32[] memory shortPages, uint256[] memory shortValues)
    {
        shortPages = new uint32[](count);
        shortValues = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            (shortPages[i], shortValues[i]) = (pages[i], values[i]);
        }
    }
}
