//! What is wrong with published files of a span index, as the call that proves it.

use std::collections::HashMap;

use alloy::{
    primitives::{B256, Bytes},
    sol_types::SolCall,
};
use attribution::{
    estimate::RowSource,
    settle::EarnerIndex,
    spans::proof::{ArrayFault, CommittedShard, MissingProof, OrderProof},
};

use super::super::{
    corpora::Corpus,
    published::{Place, Rows},
    span_evidence::{leaves, suffix},
};
use crate::{
    Error, Result,
    chain::bindings::{self, CitedRow, ISpanIndexes as Indexes},
    factory::{leaf_opening, span_commitment},
};

/// The proof of the first fault: of a row, of its canonical row, or else of the array. Whether the text is what the
/// tokenizer makes of the rows, and whether rows are left out, nothing shows.
pub(super) fn proof(model: B256, files: &Corpus, rows: &Rows) -> Result<Option<Bytes>> {
    let missing = || Error::Dispute("a span index without a shard".into());
    let shard = files.index.commit(0).ok_or_else(missing)?;
    let commitment = span_commitment(&files.commitment);
    if let Some((row, of)) = wrong_row(files, rows) {
        let opening = leaf_opening(shard.open_row(row));
        let cluster = (of.cluster < files.index.rows()).then(|| shard.open_row(of.cluster));
        let cluster = cluster.into_iter().map(leaf_opening).collect();
        let (datanet_row, proof) = actual(rows, &of)?;
        let call = Indexes::proveRowCall {
            model,
            commitment,
            row,
            opening,
            cluster,
            datanetRow: datanet_row,
            datanetProof: proof,
        };
        return Ok(Some(call.abi_encode().into()));
    }
    if let Some((row, cluster, earlier)) = later_copy(files) {
        let open = |row| leaf_opening(shard.open_row(row));
        let call = Indexes::proveLaterCopyCall {
            model,
            commitment,
            row,
            opening: open(row),
            cluster: open(cluster),
            earlier,
            earlierOpening: open(earlier),
        };
        return Ok(Some(call.abi_encode().into()));
    }
    Ok(shard.array_fault().map(|fault| match fault {
        ArrayFault::Disorder { rank } => {
            let proof = disorder(&shard, rank);
            Indexes::proveDisorderCall { model, commitment, proof }.abi_encode().into()
        }
        ArrayFault::Missing { position } => {
            let proof = lacking(&shard, position);
            Indexes::proveMissingCall { model, commitment, proof }.abi_encode().into()
        }
    }))
}

/// The first row that is not what its Datanet version has, as far as that is here.
fn wrong_row(files: &Corpus, rows: &Rows) -> Option<(u32, RowSource)> {
    let numbered = (0..files.index.rows()).filter_map(|n| Some((n, files.index.row(n)?)));
    numbered.into_iter().find(|(_, of)| {
        if !rows.has(of.datanet, of.index) {
            return true;
        }
        let Some(actual) = rows.get(Place::at(of.datanet, of.index)) else { return false };
        let earner = rows.earner(actual.contributor).unwrap_or(EarnerIndex::NOBODY);
        let cluster = files.index.row(of.cluster).map(|cluster| cluster.hash);
        actual.row_hash.0 != of.hash
            || earner != of.earner
            || cluster != Some(actual.cluster_hash.0)
    })
}

/// The first row that names a canonical row which has the text of an earlier one: the row, the one
/// that it names, and the earlier one.
fn later_copy(files: &Corpus) -> Option<(u32, u32, u32)> {
    let mut first = HashMap::new();
    let rows = || (0..files.index.rows()).filter_map(|n| Some((n, files.index.row(n)?)));
    for (n, row) in rows() {
        first.entry(row.hash).or_insert(n);
    }
    rows().find_map(|(n, row)| {
        let named = files.index.row(row.cluster)?;
        let earlier = *first.get(&named.hash)?;
        (earlier < row.cluster).then_some((n, row.cluster, earlier))
    })
}

/// The version's row with a row's place; anything for one that it does not have.
fn actual(rows: &Rows, of: &RowSource) -> Result<(CitedRow, Vec<B256>)> {
    if !rows.has(of.datanet, of.index) {
        let (row, zero) = (of.index, B256::ZERO);
        let contributor = alloy::primitives::Address::ZERO;
        let row = CitedRow { index: row, rowHash: zero, contributor, clusterHash: zero };
        return Ok((row, vec![]));
    }
    let proven = rows.proof(Place::at(of.datanet, of.index))?;
    let row = CitedRow {
        index: proven.row.index,
        rowHash: proven.row.rowHash,
        contributor: proven.row.contributor,
        clusterHash: proven.row.clusterHash,
    };
    Ok((row, proven.proof))
}

fn disorder(shard: &CommittedShard<'_>, rank: u64) -> bindings::OrderProof {
    let OrderProof { rank, first, second } = shard.prove_order(rank);
    let second = second.into_iter().map(suffix).collect();
    bindings::OrderProof { rank, first: suffix(first), second }
}

fn lacking(shard: &CommittedShard<'_>, position: u64) -> bindings::MissingProof {
    let MissingProof { position, text, rank, before, after } = shard.prove_missing(position);
    bindings::MissingProof {
        position,
        text: leaves(text),
        rank,
        before: before.into_iter().map(suffix).collect(),
        afterwards: after.into_iter().map(suffix).collect(),
    }
}
