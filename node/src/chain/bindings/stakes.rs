//! Who stakes, who may vote with it, which records are looked at, and what was struck.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

use alloy::sol;

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]

    /// `rule` is the number of attribution::settle::Rule.
    #[sol(rpc, abi)]
    interface IDisputes {
        event Struck(
            bytes32 indexed batch, uint8 indexed rule, address indexed challenger, uint256 slashed, uint256 paid
        );
    }

    #[sol(rpc, abi)]
    interface IStaking {
        event Slashed(address indexed operator, uint256 slashWad, uint256 amount);

        function isActive(address operator) external view returns (bool);
        function registerOperator() external payable;
        function feesOf(address operator, address staker) external view returns (uint256);
        function claimFees(address operator) external returns (uint256 amount);
    }

    #[sol(rpc, abi)]
    interface IValidatorRoll {
        function isEnrolled(address account) external view returns (bool);
        function enrol() external;
        function leave() external;
    }

    #[sol(rpc, abi)]
    interface IRecordSamples {
        function seedOf(bytes32 batch) external view returns (bytes32);
        function blockOf(bytes32 batch) external view returns (uint256);
        function sampleOf(bytes32 batch, address auditor, uint32 records, uint32 count)
            external view returns (uint32[] memory ordinals);
        function draw(bytes32 batch) external returns (bytes32 seed);
    }
}
