//! Names for what contracts revert with.

use std::{collections::HashMap, sync::LazyLock};

use alloy::{
    dyn_abi::{DynSolValue, JsonAbiExt},
    hex,
    json_abi::{Error as AbiError, JsonAbi},
    primitives::Selector,
    sol_types::{Panic, Revert, SolError},
    transports::{RpcError, TransportErrorKind},
};

use crate::Error;

/// The committed ABIs; a test compares the list with the folder.
macro_rules! abis {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("../../../abi/", $name, ".json")))),*] };
}
const ABIS: [(&str, &str); 30] = abis![
    "AmountFaults" "BondedFigures" "CarryFaults" "CreditFaults" "DaCertRelay" "DatanetRegistry" "DevCertVerifier"
    "Disputes" "EarnerRegistry" "EarningsArchive" "FactorFaults" "FeeSchedule" "IndexDisputes" "InfluenceIndexes"
    "ModelMixes" "ModelRegistry" "PaymentChannels" "PayoutVerifier" "ReceiptFaults" "RecordFaults"
    "RecordSamples" "RelayedCertVerifier" "RowFaults" "Settlement" "SketchVotes" "SpanIndexes"
    "SpanVerifier" "Staking" "UseFaults" "ValidatorRoll"
];

/// Every error of every contract. Contracts may name the arguments of the same error differently;
/// those have no names here.
static ERRORS: LazyLock<HashMap<Selector, AbiError>> = LazyLock::new(|| {
    let parse = |(name, text)| -> JsonAbi {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("abi/{name}.json: {error}"))
    };
    let mut errors: HashMap<Selector, AbiError> = HashMap::new();
    for error in ABIS.into_iter().flat_map(|abi| parse(abi).errors.into_values().flatten()) {
        let known = errors.entry(error.selector()).or_insert_with(|| error.clone());
        for (known, input) in known.inputs.iter_mut().zip(error.inputs) {
            if known.name != input.name {
                known.name.clear();
            }
        }
    }
    errors
});

/// [`Error::Reverted`] with the contract's error if there is one, else [`Error::Chain`].
pub(super) fn error(e: RpcError<TransportErrorKind>) -> Error {
    let Some(payload) = e.as_error_resp() else { return Error::chain(e) };
    match payload.as_revert_data() {
        Some(data) => Error::Reverted(name(&data)),
        None if payload.message.contains("revert") => Error::Reverted(payload.message.to_string()),
        None => Error::chain(e),
    }
}

/// The error and its arguments, or the bytes if no contract of ours has such an error.
pub(crate) fn name(data: &[u8]) -> String {
    named(data)
        .or_else(|| Revert::abi_decode(data).ok().map(|error| error.reason))
        .or_else(|| Panic::abi_decode(data).ok().map(|error| error.to_string()))
        .unwrap_or_else(|| hex::encode_prefixed(data))
}

/// `Name { argument: value, .. }`, or `Name` without arguments.
fn named(data: &[u8]) -> Option<String> {
    let (selector, arguments) = data.split_first_chunk()?;
    let error = ERRORS.get(selector)?;
    let values = error.abi_decode_input(arguments).ok()?;
    if values.is_empty() {
        return Some(error.name.clone());
    }
    let shown = error.inputs.iter().zip(&values);
    let shown: Vec<_> = shown
        .map(|(of, value)| match of.name.as_str() {
            "" => show(value),
            name => format!("{name}: {}", show(value)),
        })
        .collect();
    Some(format!("{} {{ {} }}", error.name, shown.join(", ")))
}

fn show(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Address(value) => value.to_string(),
        DynSolValue::FixedBytes(word, size) => hex::encode_prefixed(&word[..*size]),
        // What a contract was given, perhaps: it ends up in logs.
        DynSolValue::String(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use alloy::primitives::{B256, U256};

    use super::*;

    fn folder() -> Vec<(String, JsonAbi)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../abi");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: std::path::PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        };
        entries.map(read).collect()
    }

    #[test]
    fn every_contract_of_the_folder_is_listed() {
        let listed: BTreeSet<_> = ABIS.into_iter().map(|(name, _)| name.to_owned()).collect();
        let there: BTreeSet<_> = folder().into_iter().map(|(name, _)| name).collect();
        assert_eq!(listed, there);
    }

    /// With arguments that are all zero: 32 bytes each, text and bytes a pointer and a length.
    #[test]
    fn every_error_of_every_contract_is_named() {
        let folder = folder();
        let mut count = 0;
        for (contract, abi) in &folder {
            for error in abi.errors() {
                let values: Vec<_> = error.inputs.iter().map(|input| zero(&input.ty)).collect();
                let data = error.abi_encode_input(&values).unwrap();
                assert_eq!(data[..4], *error.selector());
                let name = name(&data);
                let rest = name.strip_prefix(&error.name);
                let rest = rest.unwrap_or_else(|| panic!("{contract}: {} is {name}", error.name));
                assert_eq!(rest.is_empty(), values.is_empty(), "{contract}: {name}");
                let all = folder.iter().flat_map(|(_, abi)| abi.errors());
                let same: Vec<_> = all.filter(|e| e.selector() == error.selector()).collect();
                for (at, input) in error.inputs.iter().enumerate() {
                    let is_agreed = same.iter().all(|error| error.inputs[at].name == input.name);
                    let is_named = rest.contains(&format!("{}: ", input.name));
                    assert_eq!(is_named, is_agreed, "{contract}: {name}");
                }
                count += 1;
            }
        }
        assert!(count > 250, "{count}");
    }

    fn zero(kind: &str) -> DynSolValue {
        match kind {
            "address" => DynSolValue::Address(Default::default()),
            "string" => DynSolValue::String(String::new()),
            "bytes32" => DynSolValue::FixedBytes(B256::ZERO, 32),
            kind if kind.starts_with("uint") => {
                DynSolValue::Uint(U256::ZERO, kind[4..].parse().unwrap())
            }
            kind => panic!("no zero for {kind}"),
        }
    }

    #[test]
    fn known_reverts_are_told_in_words() {
        let at = |words: &[&str]| hex::decode(words.concat()).unwrap();
        let word = |hex: &str| format!("{hex:0>64}");
        // Selectors as OpenZeppelin's contracts are known by.
        assert_eq!(name(&at(&["3ee5aeb5"])), "ReentrancyGuardReentrantCall");
        let token = at(&["7e273289", &word("7")]);
        assert_eq!(name(&token), "ERC721NonexistentToken { tokenId: 7 }");
        let caller = at(&["118cdaa7", &word("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")]);
        let shown = "account: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(name(&caller), format!("OwnableUnauthorizedAccount {{ {shown} }}"));
        let reason = at(&["08c379a0", &word("20"), &word("2"), &format!("{:0<64}", "6e6f")]);
        assert_eq!(name(&reason), "no");
        let overflow = at(&["4e487b71", &word("11")]);
        assert_eq!(name(&overflow), "panic: arithmetic underflow or overflow (0x11)");
    }

    #[test]
    fn other_data_is_shown_as_it_is() {
        for data in [&[][..], &[1], &[0x9b, 0x18, 0xf5], &[0xaa; 40]] {
            assert_eq!(name(data), hex::encode_prefixed(data));
        }
        // An error of ours without its arguments.
        let cut = &ERRORS.values().find(|e| e.name == "WrongStage").unwrap().selector()[..];
        assert_eq!(name(cut), hex::encode_prefixed(cut));
    }
}
