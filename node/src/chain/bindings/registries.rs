//! Who earns, what is sold for how much, and whose data it was made with.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

use alloy::sol;
use attribution::settle;

sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq))]

    #[sol(rpc, abi)]
    interface IEarnerRegistry {
        event EarnerRegistered(uint32 indexed earner, address indexed account, uint8 indexed role);
        function earnerOf(address account, uint8 role) external view returns (uint32 earner);
        function accountOf(uint32 earner) external view returns (address account, uint8 role);
        function earnerCount() external view returns (uint32 count);
        function register(uint8 role) external returns (uint32 earner);
    }

    struct Split { uint16 platformBps; uint16 modelBps; uint16 stakersBps; uint16 contributorsBps; }
    struct Rules { Split split; uint8 maxCredits; }

    #[sol(rpc, abi)]
    interface IFeeSchedule {
        event RulesScheduled(uint64 indexed activation, Rules rules);
        function rulesAt(uint64 time) external view returns (Rules memory rules);
        function schedule(Rules calldata rules, uint64 activation) external;
    }

    struct Price { uint64 inputRate; uint64 outputRate; uint64 platformFee; }
    struct DatanetVersion { bytes32 datanet; uint32 version; }
    struct Model {
        bytes32 base;
        bytes32 contentHash;
        bytes32 indexRoot;
        bytes32 indexHash;
        uint32 priceVersion;
        string name;
    }

    #[sol(rpc, abi)]
    interface IModelRegistry {
        event ModelRegistered(
            bytes32 indexed model, bytes32 indexed base, address indexed owner, bytes32 contentHash, string name
        );
        event IndexRegistered(bytes32 indexed model, bytes32 indexRoot, bytes32 indexHash, DatanetVersion[] datanets);
        event PriceSet(bytes32 indexed model, uint32 indexed priceVersion, Price price);
        /// ERC-721's: the model share follows the token.
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);

        function modelOf(bytes32 model) external view returns (Model memory);
        /// ERC-721's, by the model's id.
        function ownerOf(uint256 tokenId) external view returns (address);
        function datanetsOf(bytes32 model) external view returns (DatanetVersion[] memory);
        function priceAt(bytes32 model, uint32 priceVersion) external view returns (Price memory);
        function ownerEarnerOf(bytes32 model) external view returns (uint32);
        function ownerEarnerAt(bytes32 model, uint64 time) external view returns (uint32);
        function lineageOf(bytes32 model) external view returns (bytes32[] memory);
        function registerBase(bytes32 contentHash, string calldata name, Price calldata price)
            external returns (bytes32 model);
        function registerAdapter(
            bytes32 base,
            bytes32 contentHash,
            bytes32 indexRoot,
            bytes32 indexHash,
            DatanetVersion[] calldata datanets,
            string calldata name,
            Price calldata price
        ) external returns (bytes32 model);
        function setPrice(bytes32 model, Price calldata price) external returns (uint32 priceVersion);
    }

    struct Datanet { address owner; uint32 versions; bytes32 metadataHash; string name; string licence; }
    struct Version { bytes32 rowsRoot; uint32 rowCount; uint64 publishedAt; }
    struct Row { uint64 index; bytes32 rowHash; address contributor; bytes32 clusterHash; }

    #[sol(rpc, abi)]
    interface IDatanetRegistry {
        event DatanetCreated(
            bytes32 indexed datanet, address indexed owner, string name, string licence, bytes32 metadataHash
        );
        event VersionPublished(bytes32 indexed datanet, uint32 indexed version, bytes32 rowsRoot, uint32 rowCount);

        function datanetOf(bytes32 datanet) external view returns (Datanet memory);
        function versionOf(bytes32 datanet, uint32 version) external view returns (Version memory);
        function contains(bytes32 datanet, uint32 version, Row calldata row, bytes32[] calldata proof)
            external view returns (bool);
        function create(string calldata name, string calldata licence, bytes32 metadataHash)
            external returns (bytes32 datanet);
        function publish(bytes32 datanet, bytes32 rowsRoot, uint32 rowCount) external returns (uint32 version);
    }
}

impl From<&Price> for settle::Price {
    fn from(price: &Price) -> Self {
        Self {
            input_rate: price.inputRate,
            output_rate: price.outputRate,
            platform_fee: price.platformFee,
        }
    }
}

impl TryFrom<&Split> for settle::Split {
    type Error = attribution::Error;

    fn try_from(split: &Split) -> attribution::Result<Self> {
        Self::new(split.platformBps, split.modelBps, split.stakersBps, split.contributorsBps)
    }
}
