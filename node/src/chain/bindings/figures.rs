//! How true influence was measured to be, and how contributors' data fared.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

use alloy::sol;

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]

    #[sol(rpc, abi)]
    interface IBondedFigures {
        enum Kind { Influence, Reputation }
        enum Stage { None, Accepted, Voting, Struck, Undecided, Abandoned }
        enum Choice { None, Holds, False }
        struct Report {
            bytes32 hash;
            uint16 ldsLow;
            uint16 lds;
            uint16 ldsHigh;
            uint16 ceiling;
            uint32 retrainings;
        }
        struct Vote {
            uint128 panelStake;
            uint128 revealedStake;
            uint128 falseStake;
            uint64 commitEndsAt;
            uint64 revealEndsAt;
        }
        struct Ballot {
            bytes32 commitment;
            uint128 stake;
            Choice choice;
        }
        struct Conduct {
            uint32 accepted;
            uint32 refused;
            uint32 earningBatches;
            uint32 harmfulBatches;
            uint32 penalties;
        }
        struct Figure {
            bytes32 subject;
            bytes32 hash;
            address poster;
            uint64 inForceFrom;
            address challenger;
            uint32 retrainings;
            uint16 bps;
            Kind kind;
            Stage stage;
            bool bondHeld;
        }

        event ReportPosted(
            uint256 indexed figure,
            bytes32 indexed model,
            address indexed poster,
            Report report,
            uint16 influenceBps,
            uint64 inForceFrom
        );
        event ConductPosted(
            uint256 indexed figure,
            uint32 indexed earner,
            address indexed poster,
            Conduct conduct,
            bytes32 evidence,
            uint16 reputationBps,
            uint64 inForceFrom
        );
        event FigureChallenged(
            uint256 indexed figure,
            address indexed challenger,
            uint64 commitEndsAt,
            uint64 revealEndsAt,
            address[] panel,
            uint256[] stakes
        );
        event FigureResolved(uint256 indexed figure, Stage stage, uint64 inForceFrom, uint256 burned);
        event DefaultInfluenceSet(uint16 influenceBps, uint64 from);

        function ABANDON_DELAY() external view returns (uint256);
        function bond() external view returns (uint256);
        function window() external view returns (uint64);
        function figureCount() external view returns (uint256);
        function figureOf(uint256 figure) external view returns (Figure memory);
        function voteOf(uint256 figure) external view returns (Vote memory);
        function ballotOf(uint256 figure, address validator) external view returns (Ballot memory);
        function lastFigureOf(Kind kind, bytes32 subject) external view returns (uint256 figure);
        function owed(address account) external view returns (uint256);
        function commitmentOf(uint256 figure, address validator, Choice choice, bytes32 salt)
            external view returns (bytes32);
        function influenceAt(bytes32 model, uint64 time) external view returns (uint16);
        function creditShareAt(bytes32 model, uint64 time) external view returns (uint16);
        function othersFrom(bytes32 model) external view returns (uint64);
        function reputationAt(uint32 earner, uint64 time) external view returns (uint16);
        function factorAt(bytes32 model, uint32 earner, uint64 time) external view returns (uint16);
        function postReport(bytes32 model, Report calldata report) external payable returns (uint256 figure);
        function postConduct(uint32 earner, Conduct calldata conduct, bytes32 evidence)
            external payable returns (uint256 figure);
        function challenge(uint256 figure) external payable;
        function commit(uint256 figure, bytes32 commitment) external;
        function reveal(uint256 figure, Choice choice, bytes32 salt) external;
        function resolve(uint256 figure) external;
        function abandon(uint256 figure) external;
        function reclaim(uint256 figure) external;
        function withdraw(address account) external returns (uint256 amount);
        function setDefaultInfluence(uint16 influenceBps) external;
    }
}
