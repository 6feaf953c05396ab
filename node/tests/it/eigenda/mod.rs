//! EigenDA through its real proxy, which keeps blobs in memory, and through servers that fail.

mod pipeline;
mod proxy;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use alloy::{primitives::U256, signers::local::PrivateKeySigner};
use attribution::settle::{EarnerIndex, Row};
use axum::{Router, body::Bytes, extract::Request, http::StatusCode, response::IntoResponse};
use node::{
    Error,
    chain::bindings::G1Point,
    da::{
        Attestor, BlobCommitment, DataAvailability, EigendaAvailability, EigendaConfig,
        LocalAvailability,
    },
};
use prover::{
    EIGENDA_TAU_G2, Fr, G1Affine, LedgerCommitment, Polynomial, Srs, blob_from_rows, evm,
};
use proxy::{Proxy, powers};
use rand::{RngCore, SeedableRng};

/// Bytes of the attestation before the layer's own certificate.
const ATTESTATION: usize = 73;
const TIME: u64 = 1_800_000_000;

fn attestor() -> Attestor {
    let domain = alloy::sol_types::eip712_domain! { name: "test", };
    Attestor::new(PrivateKeySigner::random(), domain)
}

fn layer(url: &str, attempts: u32) -> EigendaAvailability {
    let config = EigendaConfig { proxy_url: url.into(), attempts, ..Default::default() };
    EigendaAvailability::new(&config, attestor()).unwrap()
}

fn point(commitment: G1Affine) -> G1Point {
    let evm::G1 { x, y } = commitment.into();
    G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
}

/// A blob of random cells behind the header of a full payload.
fn random_blob(symbols: usize, seed: u64) -> Vec<u8> {
    let mut blob = vec![0; 32 * symbols];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut blob[32..]);
    blob[32..].iter_mut().step_by(32).for_each(|byte| *byte = 0);
    blob[2..6].copy_from_slice(&(31 * (symbols as u32 - 1)).to_be_bytes());
    blob
}

/// Commitment to the polynomial that takes the symbols at the roots of unity.
fn commit(srs: &Srs, blob: &[u8]) -> G1Point {
    let half = |bytes: &[u8]| Fr::from(u128::from_be_bytes(bytes.try_into().unwrap()));
    let shift = Fr::from(u128::MAX) + Fr::from(1_u128);
    let symbol = |bytes: &[u8]| half(&bytes[..16]) * shift + half(&bytes[16..]);
    let symbols = blob.chunks_exact(32).map(symbol).collect();
    point(srs.commit(Polynomial::interpolate(symbols).unwrap().coefficients()).unwrap())
}

fn message(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Availability(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// What every layer does: a blob comes back by its certificate, also after it was published again.
async fn keeps(layer: &dyn DataAvailability, commitment: &G1Point, blob: &[u8]) -> Vec<u8> {
    let certificate = layer.put(commitment.clone(), blob.to_vec(), TIME).await.unwrap();
    let again = layer.put(commitment.clone(), blob.to_vec(), TIME + 1).await.unwrap();
    for certificate in [&certificate, &again] {
        let back = layer.get(commitment.clone(), certificate).await.unwrap();
        assert!(back.as_deref() == Some(blob), "{} symbols", blob.len() / 32);
    }
    certificate
}

#[tokio::test]
async fn the_local_layer_keeps_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let layer = LocalAvailability::open(folder.path(), attestor()).unwrap();
    for symbols in [2, 16, 8_192] {
        keeps(&layer, &generator(), &random_blob(symbols, 8)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_proxy_certifies_our_commitments_and_gives_blobs_back() {
    let read = || Srs::eigenda(&powers(), 1 << 19, EIGENDA_TAU_G2).unwrap();
    let (proxy, srs) = tokio::join!(Proxy::start(), tokio::task::spawn_blocking(read));
    let (layer, srs) = (layer(&proxy.url, 3), srs.unwrap());
    let rows: Vec<_> = (0..16)
        .map(|i| Row::PADDING.paying(EarnerIndex(i), u64::from(i) * 1_000_000_007))
        .collect();
    let ledger = LedgerCommitment::from_blob(&srs, blob_from_rows(&rows).unwrap()).unwrap();
    assert_eq!(point(ledger.commitment()), commit(&srs, ledger.blob()));
    let mut blobs = vec![ledger.blob().to_vec()];
    blobs.extend([2, 16, 128, 8_192, 1 << 19].map(|symbols| random_blob(symbols, 7)));
    for blob in blobs {
        let commitment = commit(&srs, &blob);
        let certificate = keeps(&layer, &commitment, &blob).await;
        let certified = BlobCommitment::of_certificate(&certificate[ATTESTATION..]).unwrap();
        // EigenDA's commitment is ours.
        assert_eq!(certified.commitment, commitment);
        assert_eq!(certified.symbols as usize, blob.len() / 32);
    }
    another_commitment_is_refused(&layer, &srs).await;
    an_altered_certificate_is_refused(&layer, &srs).await;
    a_stopped_proxy_is_given_up(proxy, &layer, &srs).await;
}

async fn another_commitment_is_refused(layer: &EigendaAvailability, srs: &Srs) {
    let blob = random_blob(64, 1);
    let (ours, other) = (commit(srs, &blob), commit(srs, &random_blob(64, 2)));
    let refused = message(layer.put(other.clone(), blob.clone(), TIME).await);
    for coordinate in [&ours.x, &ours.y, &other.x, &other.y] {
        assert!(refused.contains(&format!("{coordinate:#x}")), "{refused}");
    }
    let certificate = layer.put(ours, blob, TIME).await.unwrap();
    let refused = message(layer.get(other, &certificate).await);
    assert!(refused.contains("EigenDA's certificate is of"), "{refused}");
}

async fn an_altered_certificate_is_refused(layer: &EigendaAvailability, srs: &Srs) {
    let blob = random_blob(64, 3);
    let commitment = commit(srs, &blob);
    let certificate = layer.put(commitment.clone(), blob, TIME).await.unwrap();
    // The last byte is of EigenDA's signatures: only the proxy can tell.
    for at in [ATTESTATION, ATTESTATION + 40, certificate.len() - 1] {
        let mut altered = certificate.clone();
        altered[at] ^= 1;
        message(layer.get(commitment.clone(), &altered).await);
    }
    for length in [0, ATTESTATION - 1, ATTESTATION, ATTESTATION + 200] {
        message(layer.get(commitment.clone(), &certificate[..length]).await);
    }
}

async fn a_stopped_proxy_is_given_up(proxy: Proxy, layer: &EigendaAvailability, srs: &Srs) {
    let blob = random_blob(64, 4);
    let commitment = commit(srs, &blob);
    let certificate = layer.put(commitment.clone(), blob.clone(), TIME).await.unwrap();
    drop(proxy);
    let refused = message(layer.put(commitment.clone(), blob, TIME).await);
    assert!(refused.ends_with("given up after 3 attempts"), "{refused}");
    let refused = message(layer.get(commitment, &certificate).await);
    assert!(refused.ends_with("given up after 3 attempts"), "{refused}");
}

/// A server that gives one answer after the other, the last one for ever.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answers: Vec<(u16, Bytes)>) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let answer = move |_: Request| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let (status, body) = answers[number.min(answers.len() - 1)].clone();
            async move { (StatusCode::from_u16(status).unwrap(), body).into_response() }
        };
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { url: format!("http://{address}"), requests }
    }

    async fn put(answers: Vec<(u16, Bytes)>) -> (Result<Vec<u8>, Error>, usize) {
        let server = Self::start(answers).await;
        let blob = random_blob(4096, 5);
        let result = layer(&server.url, 3).put(generator(), blob, TIME).await;
        (result, server.requests.load(Ordering::Relaxed))
    }

    async fn get(answers: Vec<(u16, Bytes)>) -> (Result<Option<Vec<u8>>, Error>, usize) {
        let server = Self::start(answers).await;
        let certificate = [&[0; ATTESTATION][..], &certificate()].concat();
        let result = layer(&server.url, 3).get(generator(), &certificate).await;
        (result, server.requests.load(Ordering::Relaxed))
    }
}

/// A certificate of version 3 in the encoding of EigenDA's library, of a blob of 4,096 symbols whose
/// commitment is the generator.
fn certificate() -> Bytes {
    let vector: serde_json::Value =
        serde_json::from_str(include_str!("../../../../test/vectors/eigenda_certificate.json"))
            .unwrap();
    alloy::hex::decode(vector["rlp"].as_str().unwrap()).unwrap().into()
}

fn generator() -> G1Point {
    G1Point { x: U256::ONE, y: U256::from(2) }
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    for status in [429, 500, 502, 504] {
        let (result, requests) =
            Server::put(vec![(status, "later".into()), (200, certificate())]).await;
        assert_eq!(result.unwrap()[ATTESTATION..], certificate()[..]);
        assert_eq!(requests, 2);
    }
    let payload = vec![9_u8; 31 * 4095];
    let answers = vec![(503, "".into()), (429, "".into()), (200, payload.into())];
    let (result, requests) = Server::get(answers).await;
    assert_eq!(result.unwrap().unwrap().len(), 4096 * 32);
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn a_lasting_failure_is_given_up_after_the_attempts() {
    for (status, word) in [(429, "limits the rate"), (500, "failed")] {
        let (result, requests) = Server::put(vec![(status, "because\u{1b}[0m".into())]).await;
        let error = message(result);
        assert!(error.contains(word) && error.contains("because [0m"), "{error}");
        assert!(error.ends_with("given up after 3 attempts"), "{error}");
        assert_eq!(requests, 3);
    }
}

#[tokio::test]
async fn a_certificate_that_is_provably_bad_is_given_up_at_once() {
    let body = r#"{"StatusCode":3,"Msg":"invalid certificate"}"#;
    let (result, requests) = Server::get(vec![(418, body.into())]).await;
    let error = message(result);
    assert!(error.contains("provably bad") && error.contains(body), "{error}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn nothing_is_published_while_eigenda_is_down() {
    let (result, requests) = Server::put(vec![(503, "fail over".into())]).await;
    let error = message(result);
    assert!(error.contains("is down") && error.contains("fail over"), "{error}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 401, 403, 413] {
        let (result, requests) = Server::put(vec![(status, "no".into())]).await;
        assert!(message(result).contains(&status.to_string()));
        assert_eq!(requests, 1);
    }
    let (result, requests) = Server::get(vec![(404, "unknown".into())]).await;
    assert_eq!((result.unwrap(), requests), (None, 1));
    // A redirection is no answer of the proxy.
    let (result, requests) = Server::get(vec![(302, "".into())]).await;
    assert!(message(result).contains("302"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn answers_of_another_form_or_size_are_refused() {
    let long = Bytes::from(vec![1; 16_385]);
    for answer in ["".into(), Bytes::from_static(&[1, 0xf9, 0xff]), long] {
        let (result, requests) = Server::put(vec![(200, answer)]).await;
        message(result);
        assert_eq!(requests, 1);
    }
    for length in [0, 31 * 4095 - 1, 31 * 4095 + 1, 31 * 2047, 31 * 8191, 17 << 20] {
        let (result, _) = Server::get(vec![(200, vec![9; length].into())]).await;
        message(result);
    }
}

#[tokio::test]
async fn a_blob_that_eigenda_would_not_keep_as_it_is_is_not_sent() {
    let server = Server::start(vec![(200, certificate())]).await;
    let layer = layer(&server.url, 3);
    let mut blobs = vec![vec![], vec![0; 32 * 64], random_blob(64, 6)[..32 * 63].to_vec()];
    let mut prefixed = random_blob(64, 6);
    prefixed[32 * 63] = 1;
    blobs.push(prefixed);
    for blob in blobs {
        message(layer.put(generator(), blob, TIME).await);
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);
}
