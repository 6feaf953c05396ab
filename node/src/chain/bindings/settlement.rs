//! Payments, batches, proofs of faults, indexes and votes: everything that has a point of the curve
//! in it. A macro resolves only the types that it declares itself, so these are of one.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

use alloy::sol;

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]

    struct G1Point { uint256 x; uint256 y; }

    struct Call {
        bytes32 modelId;
        uint32 priceVersion;
        bytes32 promptHash;
        uint64 seed;
        uint64 maxTokens;
        uint64 time;
    }
    struct Voucher { bytes32 channelId; uint64 ceiling; Call call; }
    struct Draw { Voucher voucher; bytes signature; uint64 drawnTo; }
    struct Interval { bytes32 channel; uint64 from; uint64 to; }
    struct Channel {
        address payer;
        address operator;
        uint256 deposit;
        uint64 drawn;
        uint64 withdrawableAt;
        uint256 withdrawal;
    }

    #[sol(rpc, abi)]
    interface IPaymentChannels {
        event ChannelOpened(bytes32 indexed channel, address indexed payer, address indexed operator, uint256 deposit);
        event Deposited(bytes32 indexed channel, uint256 amount, uint256 deposit);
        event Drawn(bytes32 indexed channel, uint64 amount, uint64 drawn);
        event Refunded(bytes32 indexed channel, uint64 amount, uint256 deposit);
        event WithdrawalRequested(bytes32 indexed channel, uint256 amount, uint64 withdrawableAt);
        event Withdrawn(bytes32 indexed channel, uint256 amount);

        function channelOf(bytes32 channel) external view returns (Channel memory);
        function channelIdOf(address payer, address operator, bytes32 salt) external view returns (bytes32);
        function digestOf(Voucher calldata voucher) external view returns (bytes32);
        function isSigned(Voucher calldata voucher, bytes calldata signature) external view returns (bool);
        function open(address operator, bytes32 salt) external payable returns (bytes32 channel);
        function deposit(bytes32 channel) external payable;
        function requestWithdrawal(bytes32 channel, uint256 amount) external;
        function withdraw(bytes32 channel) external returns (uint256 amount);
    }

    struct Submission {
        uint64 epoch;
        bytes32 previous;
        uint32 rows;
        uint64 total;
        uint32 witnessSymbols;
        uint32 slotCells;
        G1Point ledger;
        G1Point[] witnesses;
        uint32[] pages;
        G1Point[] payouts;
        bytes[] certificates;
    }
    enum Status { None, Posted, Final, Struck }
    struct Batch {
        address operator;
        uint64 epoch;
        uint64 total;
        uint64 finalisableAt;
        uint32 rows;
        uint32 witnessSymbols;
        uint32 slotCells;
        uint32 holds;
        Status status;
        uint64 height;
        bytes32 previous;
        bytes32 payoutsHash;
        bytes32 witnessesHash;
        bytes32 drawsHash;
        G1Point ledger;
    }
    struct Claim { uint32 earner; uint64 cumulativeEarnings; uint64 version; G1Point witness; }

    #[sol(rpc, abi)]
    interface ISettlement {
        error UnknownVersion(uint32 page, uint64 version);
        error NothingToClaim(uint32 earner);
        error PaymentFailed(uint32 earner, address account);

        event BatchPosted(
            bytes32 indexed batch,
            address indexed operator,
            uint64 indexed epoch,
            Submission submission,
            Interval[] draws
        );
        event BatchFinal(bytes32 indexed batch, address indexed operator, uint64 total);
        event BatchStruck(bytes32 indexed batch, address indexed operator);
        event BatchRefunded(bytes32 indexed batch, uint64 total);
        event BatchHoldsChanged(bytes32 indexed batch, uint32 holds);
        event ArbiterSet(address indexed arbiter, bool allowed);
        event ExposureSet(uint256 wad);
        event EarningsUpdated(uint32 indexed page, uint64 indexed version, G1Point commitment, bytes32 batch);
        event Claimed(uint32 indexed earner, address indexed account, uint64 amount, uint64 cumulativeEarnings);

        error AboveFunding(uint32 earner, uint64 amount, uint256 available);

        function epochSeconds() external view returns (uint64);
        function disputeWindow() external view returns (uint64);
        function pageSize() external view returns (uint32);
        function payoutVerifier() external view returns (address);
        function unfinalOf(address operator) external view returns (uint256);
        function exposureCapOf(address operator) external view returns (uint256);
        function headOf(address operator) external view returns (bytes32);
        function isArbiter(address arbiter) external view returns (bool);
        function batchOf(bytes32 batch) external view returns (Batch memory);
        function batchIdOf(address operator, uint64 epoch) external view returns (bytes32);
        function earningsOf(uint32 page) external view returns (uint64 version, G1Point memory commitment);
        function earningsAt(uint32 page, uint64 version) external view returns (G1Point memory commitment);
        function claimed(uint32 earner) external view returns (uint64);
        function submitBatch(Submission calldata submission, Draw[] calldata draws, uint256[] calldata proof)
            external returns (bytes32 batch);
        function finaliseBatch(bytes32 batch, uint32[] calldata pages, G1Point[] calldata payouts) external;
        function strike(bytes32 batch) external;
        function strikeOrphan(bytes32 batch) external;
        function refund(bytes32 batch, Interval[] calldata intervals) external;
        function hold(bytes32 batch) external;
        function release(bytes32 batch) external;
        function setArbiter(address arbiter, bool allowed) external;
        function setExposure(uint256 wad) external;
        function claim(Claim calldata claim_) external returns (uint64 amount);
        function claimMany(Claim[] calldata claims) external returns (uint64 amount);
    }

    /// What PayoutVerifier was made with.
    #[sol(rpc, abi)]
    interface IPayoutVerifier {
        function pageSize() external view returns (uint32);
        function identity() external view returns (G1Point memory);
    }

    #[sol(rpc, abi)]
    interface IEarningsArchive {
        event EarningsArchived(
            uint32 indexed page,
            uint64 indexed version,
            address indexed operator,
            uint64 archivedAt,
            G1Point blob,
            bytes certificate
        );

        function symbols() external view returns (uint32);
        function archive(uint32 page, uint64 version, G1Point calldata blob, bytes calldata certificate) external;
    }

    #[sol(rpc, abi)]
    interface IRelayedCertVerifier {
        function storedAtOf(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash)
            external view returns (uint64);
    }

    #[sol(rpc, abi)]
    interface IDaCertRelay {
        function verifier() external view returns (address);
        function relay(bytes calldata certificate) external;
    }

    #[sol(rpc, abi)]
    interface IDaCertVerifier {
        function check(G1Point calldata commitment, uint32 symbols, bytes calldata certificate) external view;
    }

    struct Index {
        uint32 contributors;
        uint32 dim;
        uint64 acceptedAt;
        bool struck;
        bytes32 root;
        address publisher;
        uint64 disputableUntil;
        uint32 symbols;
        uint256 bond;
        bytes32 blobsHash;
    }

    #[sol(rpc, abi)]
    interface IInfluenceIndexes {
        event IndexPublished(
            bytes32 indexed model,
            address indexed publisher,
            uint32 contributors,
            uint32 dim,
            uint32 symbols,
            uint64 acceptedAt,
            G1Point[] blobs,
            bytes[] certificates
        );
        event IndexHeld(bytes32 indexed model, uint64 acceptedAt);
        event IndexStruck(bytes32 indexed model, address indexed challenger, uint256 burned, uint256 paid);

        function disputeWindow() external view returns (uint64);
        function minBond() external view returns (uint256);
        function indexOf(bytes32 model) external view returns (Index memory);
        function isEarning(bytes32 model, uint64 time) external view returns (bool);
        function publish(
            bytes32 model,
            uint32 contributors,
            uint32 dim,
            G1Point[] calldata blobs,
            uint32 symbols,
            bytes[] calldata certificates
        ) external payable;
        function withdrawBond(bytes32 model) external;
    }

    /// What the operator signs about a served call, under the domain of PaymentChannels.
    struct Receipt {
        bytes32 voucherDigest;
        uint64 fee;
        uint64 charged;
        uint64 tokensIn;
        uint64 tokensOut;
        bytes32 outputHash;
        bytes32 sketchHash;
    }

    /// What the development attestor signs about a blob.
    struct Blob { uint256 x; uint256 y; uint32 symbols; uint64 storedAt; }

    /// Cells of a committed blob, opened together.
    struct CellOpening { uint32[] indices; uint256[] values; G1Point quotient; G1Point remainder; }
    /// One slot of a witness blob, opened.
    struct SlotOpening { uint256[] values; G1Point quotient; G1Point remainder; }
    struct IndexContributor {
        uint32 ordinal;
        uint32 earner;
        uint32 acceptedRows;
        bytes32 sumsHash;
        bytes32 left;
        bytes32 right;
    }
    struct ContributorProof { IndexContributor contributor; bytes32[] proof; }
    struct IndexNode { uint32 count; bytes32 sumsHash; bytes32 left; bytes32 right; }
    struct NodeProof { ContributorProof contributor; uint256 turns; IndexNode[] path; }
    struct IndexRow { uint8 datanet; uint64 rowIndex; bytes32 rowHash; bytes32 clusterHash; }
    struct RowProof { NodeProof node; IndexRow row; }

    #[sol(rpc, abi)]
    interface IIndexDisputes {
        enum Fault {
            Contributors,
            Ordinal,
            Node,
            Count,
            LeafCount,
            Sums,
            Sketch,
            Range,
            Row,
            Canonical,
            Cluster,
            Order,
            LeftOut,
            MissingOrdinal
        }
        struct Row { uint64 index; bytes32 rowHash; address contributor; bytes32 clusterHash; }
        struct DatanetRow { uint8 datanet; Row row; bytes32[] proof; }
        struct Gap { RowProof[] lower; RowProof[] upper; }
        struct IndexClaim {
            bytes32 model;
            address challenger;
            uint64 deadline;
            Fault fault;
            uint32 ordinal;
            IndexRow row;
        }

        error NoFault();
        error NotDisputable(bytes32 model);
        error NotInDatanet(uint8 datanet, uint64 rowIndex);
        error NotAGap();
        error WrongClaimBond(uint256 given, uint256 claimBond);
        error ClaimExists(bytes32 claim);
        error OrdinalOutOfRange(uint32 ordinal, uint32 contributors);
        error WrongAnswer(uint8 claimed);
        error WrongOrdinal(uint32 claimed, uint32 given);
        error UnknownClaim(bytes32 claim);
        error TooLate(uint64 deadline);
        error TooEarly(uint64 deadline);

        event FaultProven(bytes32 indexed model, uint8 indexed fault, address indexed challenger);
        event LeftOutClaimed(
            bytes32 indexed model,
            bytes32 indexed claim,
            address indexed challenger,
            uint64 deadline,
            IndexRow row
        );
        event LeftOutAnswered(bytes32 indexed claim, address indexed answerer, IndexRow earlier);
        event OrdinalClaimed(
            bytes32 indexed model,
            bytes32 indexed claim,
            address indexed challenger,
            uint64 deadline,
            uint32 ordinal
        );
        event OrdinalAnswered(bytes32 indexed claim, address indexed answerer);

        function claimBond() external view returns (uint256);
        function openClaims(bytes32 model) external view returns (uint256);
        function claimOf(bytes32 claim) external view returns (IndexClaim memory);
        function proveContributors(bytes32 model, ContributorProof calldata a, ContributorProof calldata b) external;
        function proveOrdinal(bytes32 model, ContributorProof calldata contributor) external;
        function proveNode(bytes32 model, NodeProof calldata node) external;
        function proveSketch(bytes32 model, NodeProof calldata leaf, bytes calldata sketch, uint256 coordinate) external;
        function proveRange(bytes32 model, RowProof calldata row) external;
        function proveRow(bytes32 model, RowProof calldata row, DatanetRow calldata actual) external;
        function proveNotCanonical(bytes32 model, RowProof calldata row) external;
        function proveEarlier(bytes32 model, RowProof calldata row, DatanetRow calldata earlier) external;
        function proveCluster(bytes32 model, RowProof calldata a, RowProof calldata b) external;
        function proveOrder(bytes32 model, RowProof calldata a, RowProof calldata b) external;
        function claimLeftOutRow(
            bytes32 model, DatanetRow calldata row, ContributorProof calldata contributor, Gap calldata gap
        ) external payable returns (bytes32 claim);
        function claimLeftOutContributor(
            bytes32 model, DatanetRow calldata row, ContributorProof[] calldata lower, ContributorProof[] calldata upper
        ) external payable returns (bytes32 claim);
        function claimMissingOrdinal(bytes32 model, uint32 ordinal) external payable returns (bytes32 claim);
        function answer(bytes32 claim, DatanetRow calldata earlier) external;
        function answerOrdinal(bytes32 claim, ContributorProof calldata contributor) external;
        function conclude(bytes32 claim) external;
    }

    #[sol(rpc, abi)]
    interface IRowFaults {
        function proveMalformed(bytes32 batch, CellOpening calldata ledger) external;
        function proveHeader(bytes32 batch, CellOpening calldata ledger) external;
        function proveRow(bytes32 batch, CellOpening calldata ledger) external;
        function proveNeighbours(bytes32 batch, CellOpening calldata ledger) external;
        function proveSequence(bytes32 batch, CellOpening calldata ledger) external;
        function proveRecordCount(bytes32 batch, CellOpening calldata ledger) external;
    }

    #[sol(rpc, abi)]
    interface IAmountFaults {
        function proveSplit(bytes32 batch, CellOpening calldata ledger) external;
        function proveCredit(bytes32 batch, CellOpening calldata ledger) external;
        function proveCreditCount(bytes32 batch, CellOpening calldata ledger) external;
        function proveFlat(bytes32 batch, CellOpening calldata ledger) external;
        function proveClosing(bytes32 batch, CellOpening calldata ledger) external;
    }

    #[sol(rpc, abi)]
    interface IRecordFaults {
        function proveFee(bytes32 batch, CellOpening calldata ledger, bytes calldata witness) external;
        function provePayee(bytes32 batch, CellOpening calldata ledger, bytes32 model) external;
        function proveOverlap(bytes32 batch, CellOpening calldata ledger) external;
        function proveOutside(bytes32 batch, CellOpening calldata ledger, Interval[] calldata draws) external;
        function proveVoucher(bytes32 batch, CellOpening calldata ledger, bytes calldata witness) external;
        function proveWitness(
            bytes32 batch, CellOpening calldata ledger, G1Point[] calldata witnesses, SlotOpening calldata slot
        ) external;
        function proveWitnessMissing(bytes32 batch, CellOpening calldata ledger, G1Point[] calldata witnesses) external;
        function proveNotEarning(bytes32 batch, CellOpening calldata ledger, bytes32 model) external;
    }

    #[sol(rpc, abi)]
    interface IReceiptFaults {
        function proveReceipt(
            bytes32 batch,
            CellOpening calldata ledger,
            bytes calldata witness,
            Receipt calldata receipt,
            bytes calldata signature
        ) external;
        function proveOmitted(
            bytes32 batch,
            CellOpening calldata ledger,
            Voucher calldata voucher,
            Receipt calldata receipt,
            bytes calldata signature
        ) external;
    }

    #[sol(rpc, abi)]
    interface ICarryFaults {
        function proveCarry(bytes32 batch, CellOpening calldata ledger, CellOpening calldata previous) external;
        function proveCarryUnfounded(bytes32 batch, CellOpening calldata ledger, CellOpening calldata previous) external;
        function proveCarryLeftOut(bytes32 batch, CellOpening calldata ledger, CellOpening calldata previous) external;
    }

    #[sol(rpc, abi)]
    interface ICreditFaults {
        function proveScore(
            bytes32 batch,
            CellOpening calldata ledger,
            bytes calldata witness,
            ContributorProof calldata contributor,
            bytes calldata sums
        ) external;
        function proveStranger(
            bytes32 batch,
            CellOpening calldata ledger,
            bytes32 model,
            ContributorProof[] calldata lower,
            ContributorProof[] calldata upper
        ) external;
        function proveWrongRows(
            bytes32 batch, CellOpening calldata ledger, bytes32 model, ContributorProof calldata contributor
        ) external;
        function proveLeftOut(
            bytes32 batch,
            CellOpening calldata ledger,
            bytes calldata witness,
            ContributorProof calldata contributor,
            bytes calldata sums
        ) external;
        function proveTooMany(bytes32 batch, CellOpening calldata ledger) external;
        function proveUnpaid(
            bytes32 batch, CellOpening calldata ledger, bytes32 model, ContributorProof calldata contributor
        ) external;
    }

    struct LeafOpening { bytes leaf; bytes32[] siblings; }
    struct SuffixOpening { LeafOpening pointer; LeafOpening[] text; }
    struct RowOpening { uint32 row; LeafOpening entry; LeafOpening[] next; }
    struct SpanCommitment {
        uint64 tokens;
        uint64 positions;
        uint32 rows;
        bytes32 textRoot;
        bytes32 suffixRoot;
        bytes32 rowRoot;
    }
    struct Corpus { bytes32 model; SpanCommitment commitment; }
    struct CitedRow { uint64 index; bytes32 rowHash; address contributor; bytes32 clusterHash; }

    #[sol(rpc, abi)]
    interface IUseFaults {
        function proveSpanUnfounded(bytes32 batch, CellOpening calldata ledger, bytes32 model) external;
        function proveSpanBeyond(bytes32 batch, CellOpening calldata ledger, Corpus calldata corpus) external;
        function proveSpanRange(
            bytes32 batch,
            CellOpening calldata ledger,
            Corpus calldata corpus,
            uint64 rank,
            SuffixOpening calldata first,
            SuffixOpening calldata other
        ) external;
        function proveSpanHolder(
            bytes32 batch,
            CellOpening calldata ledger,
            Corpus calldata corpus,
            SuffixOpening calldata suffix,
            RowOpening calldata row,
            LeafOpening calldata canonical
        ) external;
        function proveSpanRepeat(
            bytes32 batch,
            CellOpening calldata ledger,
            Corpus calldata corpus,
            uint16 earlier,
            SuffixOpening[2] calldata suffixes,
            RowOpening[2] calldata rows
        ) external;
        function proveSpanHolders(
            bytes32 batch,
            CellOpening calldata ledger,
            Corpus calldata corpus,
            SuffixOpening[] calldata suffixes,
            RowOpening[] calldata rows
        ) external;
        function proveSpanScore(bytes32 batch, CellOpening calldata ledger, Corpus calldata corpus) external;
        function proveSpanNested(bytes32 batch, CellOpening calldata ledger) external;
        function proveSpanOutside(bytes32 batch, CellOpening calldata ledger) external;
        function proveCitationUnfounded(bytes32 batch, CellOpening calldata ledger, bytes32 model) external;
        function proveCitation(
            bytes32 batch,
            CellOpening calldata ledger,
            bytes32 model,
            CitedRow calldata row,
            bytes32[] calldata proof
        ) external;
    }

    struct OrderProof { uint64 rank; SuffixOpening first; SuffixOpening[] second; }
    struct MissingProof {
        uint64 position;
        LeafOpening[] text;
        uint64 rank;
        SuffixOpening[] before;
        SuffixOpening[] afterwards;
    }

    /// `Index` in Solidity, where that of influence is another.
    struct SpanIndexEntry {
        bytes32 commitmentHash;
        address publisher;
        uint64 disputableUntil;
        uint64 acceptedAt;
        uint32 demands;
        bool struck;
        uint256 bond;
    }

    #[sol(rpc, abi)]
    interface ISpanIndexes {
        enum Tree { Text, Suffixes, Rows }
        event SpanIndexPublished(
            bytes32 indexed model, address indexed publisher, SpanCommitment commitment, uint64 acceptedAt
        );
        event SpanIndexStruck(bytes32 indexed model, address indexed challenger, uint256 burned, uint256 paid);
        event LeafDemanded(bytes32 indexed model, Tree tree, uint64 number, address indexed by, uint64 until);
        event LeafShown(bytes32 indexed model, Tree tree, uint64 number);

        function bond() external view returns (uint256);
        function demandDeposit() external view returns (uint256);
        function window() external view returns (uint64);
        function answerPeriod() external view returns (uint64);
        function indexOf(bytes32 model) external view returns (SpanIndexEntry memory);
        function isPaying(bytes32 model, uint64 time) external view returns (bool);
        function publish(bytes32 model, SpanCommitment calldata commitment) external payable;
        function proveDisorder(bytes32 model, SpanCommitment calldata commitment, OrderProof calldata proof) external;
        function proveMissing(bytes32 model, SpanCommitment calldata commitment, MissingProof calldata proof) external;
        function proveRow(
            bytes32 model,
            SpanCommitment calldata commitment,
            uint32 row,
            LeafOpening calldata opening,
            LeafOpening[] calldata cluster,
            CitedRow calldata datanetRow,
            bytes32[] calldata datanetProof
        ) external;
        function proveLaterCopy(
            bytes32 model,
            SpanCommitment calldata commitment,
            uint32 row,
            LeafOpening calldata opening,
            LeafOpening calldata cluster,
            uint32 earlier,
            LeafOpening calldata earlierOpening
        ) external;
        function demand(bytes32 model, SpanCommitment calldata commitment, Tree tree, uint64 number)
            external payable;
        function answer(
            bytes32 model,
            SpanCommitment calldata commitment,
            Tree tree,
            uint64 number,
            LeafOpening calldata opening
        ) external;
        function proveUnanswered(bytes32 model, Tree tree, uint64 number) external;
        function withdrawBond(bytes32 model) external;
    }

    #[sol(rpc, abi)]
    interface IFactorFaults {
        function proveFactor(bytes32 batch, CellOpening calldata ledger, bytes32 model) external;
    }

    #[sol(rpc, abi)]
    interface IModelMixes {
        struct Mix { uint16 spansBps; uint16 citationsBps; }
        event MixSet(bytes32 indexed model, uint16 spansBps, uint16 citationsBps, uint64 time);
        function mixAt(bytes31 model, uint64 time) external view returns (Mix memory);
        function setMix(bytes32 model, Mix calldata mix) external;
    }

    #[sol(rpc, abi)]
    interface ISketchVotes {
        enum Stage { None, Answering, Voting, Struck, Upheld, Undecided, Void, Abandoned }
        enum Choice { None, Holds, False }
        struct Vote {
            bytes32 batch;
            address operator;
            uint64 endsAt;
            Stage stage;
            bool held;
            address challenger;
            uint32 row;
            uint128 panelStake;
            uint128 revealedStake;
            uint128 falseStake;
            bytes32 answerHash;
        }
        struct Ballot { bytes32 commitment; uint128 stake; Choice choice; }

        event Challenged(
            uint256 indexed vote,
            bytes32 indexed batch,
            address indexed operator,
            address challenger,
            uint32 row,
            uint32 tokensIn,
            uint32 tokensOut,
            bytes witness,
            uint64 answerEndsAt
        );
        event PanelFixed(uint256 indexed vote, address[] validators, uint256[] stakes);
        event Answered(
            uint256 indexed vote,
            bytes32 indexed batch,
            bytes request,
            bytes answer,
            uint64 commitEndsAt,
            uint64 revealEndsAt
        );
        event Committed(uint256 indexed vote, address indexed validator, bytes32 commitment);
        event Revealed(uint256 indexed vote, address indexed validator, Choice choice, uint256 stake);
        event Penalised(uint256 indexed vote, address indexed validator, uint256 amount);
        event Resolved(
            uint256 indexed vote,
            bytes32 indexed batch,
            Stage indexed stage,
            uint256 panelStake,
            uint256 revealedStake,
            uint256 falseStake
        );

        function MAX_ANSWER_BYTES() external view returns (uint256);
        function bond() external view returns (uint256);
        function openVoteOn(bytes32 batch, uint32 row) external view returns (uint256 vote);
        function voteOf(uint256 vote) external view returns (Vote memory);
        function panelOf(uint256 vote) external view returns (address[] memory);
        function ballotOf(uint256 vote, address validator) external view returns (Ballot memory);
        function commitmentOf(uint256 vote, address validator, Choice choice, bytes32 salt)
            external view returns (bytes32);
        function owed(address account) external view returns (uint256);
        function challenge(bytes32 batch, uint32 row, CellOpening calldata ledger, bytes calldata witness)
            external payable returns (uint256 vote);
        function answer(uint256 vote, bytes calldata request, bytes calldata text) external;
        function strikeSilent(uint256 vote) external;
        function ABANDON_DELAY() external view returns (uint256);
        function abandon(uint256 vote) external;
        function releaseHold(uint256 vote) external;
        function commit(uint256 vote, bytes32 commitment) external;
        function reveal(uint256 vote, Choice choice, bytes32 salt) external;
        function resolve(uint256 vote) external;
        function withdraw(address account) external returns (uint256 amount);
    }
}
