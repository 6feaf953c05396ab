//! Writes `test/vectors/settlement_proof.json` and `settlement_dishonest.json`: a batch each with
//! its payout proof and the openings of earnings once it is final, for contracts at fixed
//! addresses: `cargo run -p prover --example settlement_vector`. The second batch becomes final
//! after the first, of another operator.
//!
//! What a proof does not read is made up: voucher digests, and the witness blob, of which there is
//! only a commitment.

mod abi;
mod dishonest;
mod honest;
#[path = "../ledgers/vector.rs"]
mod vector;

use std::{collections::BTreeMap, fs, path::PathBuf};

use attribution::settle::{BatchHeader, ChannelId, EarnerIndex, Ledger};
use prover::{
    EarningsPage, Srs,
    argument::{PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts, evm,
};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use vector::{g1, g2, statement_vector, with_proof};

type Failure = Box<dyn std::error::Error>;
type Earnings = BTreeMap<EarnerIndex, u64>;

const CHAIN: u64 = 161_201;
const PAGE_SIZE: u32 = 65_536;
const EPOCH: u64 = 500_000;
const EPOCH_SECONDS: u64 = 3_600;
const SETTLEMENT: [u8; 20] = [0x5e; 20];
const CHANNELS: [u8; 20] = [0xc4; 20];

/// A batch and where it goes.
struct Vector {
    name: &'static str,
    file: &'static str,
    operator: [u8; 20],
    /// Accounts in hexadecimal, by channel.
    payers: &'static [&'static str],
    /// Power of tau that stands for the witness blob.
    witness: usize,
    /// Of the ledger and the witness blob, made by `ProvenBatchBase` of the contracts' tests, which
    /// check that they are their attestor's.
    certificates: [&'static str; 2],
}

fn main() -> Result<(), Failure> {
    let srs = Srs::dev(CHAIN, b"test vectors", 1 << 19)?;
    let key = VerifierKey::new(&srs, PAGE_SIZE)?;
    let mut earned = Earnings::new();
    honest::VECTOR.write(&srs, &key, &honest::ledger()?, &mut earned)?;
    dishonest::VECTOR.write(&srs, &key, &dishonest::ledger()?, &mut earned)
}

impl Vector {
    /// Adds the batch's payouts to what was `earned` before it.
    fn write(
        &self,
        srs: &Srs,
        key: &VerifierKey,
        ledger: &Ledger,
        earned: &mut Earnings,
    ) -> Result<(), Failure> {
        let committed = commit_ledger(srs, ledger)?;
        let pages = commit_payouts(srs, PAGE_SIZE, ledger.payouts())?;
        let certificates = self.certificates.map(|hex| hex::decode(hex).expect("hex"));
        let hash = Keccak256::digest(abi::bytes_array(&certificates)).into();
        let mut statement = PayoutStatement::of_ledger(ledger, &committed, pages, hash);
        statement.witnesses = vec![srs.g1()[self.witness]];
        let proof = prove_payouts(srs, key, &statement, &committed, ledger.payouts(), |_| {})?;
        assert!(key.verify(&statement, &proof), "a proof of true sums holds");
        for (&earner, gwei) in ledger.payouts() {
            *earned.entry(earner).or_default() += gwei;
        }

        let mut vectors = with_proof(statement_vector(key, &statement, self.name), &proof);
        vectors["tau_g2"] = g2(srs.tau_g2_evm());
        vectors["identity"] = g1(key.identity().into());
        vectors["payment_channels"] = json!(hex(&CHANNELS));
        vectors["epoch"] = json!(EPOCH);
        vectors["payers"] = self.payers.iter().map(|payer| json!(format!("0x{payer}"))).collect();
        vectors["certificates"] = json!(self.certificates.map(|hex| format!("0x{hex}")));
        vectors["claims"] = claims(srs, earned)?;
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors").join(self.file);
        Ok(fs::write(path, serde_json::to_string_pretty(&vectors)? + "\n")?)
    }

    const fn header(&self) -> BatchHeader {
        BatchHeader {
            chain_id: CHAIN,
            settlement: SETTLEMENT,
            operator: self.operator,
            epoch: EPOCH,
        }
    }

    /// The payers' channels to the operator with salt 0, as PaymentChannels names them.
    fn channels(&self) -> Vec<ChannelId> {
        let channel = |payer: &&str| {
            let payer = hex::decode(payer).expect("hex");
            let words = [&CHAIN.to_be_bytes()[..], &CHANNELS, &payer, &self.operator, &[]];
            let hash = words
                .iter()
                .fold(Keccak256::new(), |hash, word| hash.chain_update(abi::padded(word)));
            ChannelId(hash.finalize().into())
        };
        self.payers.iter().map(channel).collect()
    }
}

/// What each earner may claim of all that was earned.
fn claims(srs: &Srs, earned: &Earnings) -> Result<Value, Failure> {
    let page = EarningsPage::new(PAGE_SIZE, 0, earned)?;
    let earners: Vec<_> = earned.keys().copied().collect();
    let openings = page.open_many(srs, &earners)?;
    let claim = |(earner, opening): (&EarnerIndex, &prover::Opening)| {
        json!({
            "earner": earner.0,
            "gwei": earned[earner].to_string(),
            "witness": g1(evm::G1::from(opening.witness)),
        })
    };
    Ok(earners.iter().zip(&openings).map(claim).collect())
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
