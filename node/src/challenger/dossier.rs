//! Everything that data availability has of a batch, checked against what was posted.

use alloy::primitives::U256;
use attribution::settle::{CELLS_PER_ROW, ModelId, SYMBOL_BYTES, SlotLayout, audit::Rows};
use prover::{BlobCommitment, CellOpening, SlotOpening, evm};

use crate::{
    Error, Result,
    chain::bindings::{self, G1Point},
    committer::{Kzg, point},
    da::SharedAvailability,
    indexer::views::ChainBatch,
    worker::blocking,
};

/// The ledger of a batch.
#[derive(Debug)]
pub(crate) struct PostedLedger {
    pub(crate) rows: Rows,
    blob: BlobCommitment,
}

/// The blobs of a batch.
#[derive(Debug)]
pub struct Dossier {
    pub(crate) ledger: PostedLedger,
    pub(crate) layout: SlotLayout,
    witnesses: Vec<BlobCommitment>,
}

impl PostedLedger {
    /// Fetches a batch's ledger. `None` if it is missing or is not what was posted.
    ///
    /// # Errors
    /// As [`Dossier::fetch`].
    pub(super) async fn fetch(
        layer: &SharedAvailability,
        kzg: &Kzg,
        batch: &ChainBatch,
    ) -> Result<Option<Self>> {
        let posted = &batch.submission;
        let Some(certificate) = posted.certificates.first() else { return Ok(None) };
        let symbols = CELLS_PER_ROW * posted.rows as usize;
        let blob = blob(layer, kzg, &posted.ledger, certificate, symbols).await?;
        Ok(blob.map(|blob| {
            let rows = Rows::from_symbols(blob.blob().as_chunks::<SYMBOL_BYTES>().0);
            Self { rows, blob }
        }))
    }

    /// Opens whole rows, given in ascending order.
    pub(super) fn open_rows(&self, kzg: &Kzg, rows: &[usize]) -> Result<bindings::CellOpening> {
        let cells = |&row: &usize| (0..CELLS_PER_ROW).map(move |cell| row * CELLS_PER_ROW + cell);
        let indices: Vec<u32> = rows.iter().flat_map(cells).map(index).collect();
        self.open_cells(kzg, &indices)
    }

    /// Opens cells, given in ascending order.
    pub(crate) fn open_cells(&self, kzg: &Kzg, indices: &[u32]) -> Result<bindings::CellOpening> {
        let opening = self.blob.open_cells(kzg.srs(), indices)?;
        let CellOpening { indices, values, quotient, remainder } = opening;
        let (quotient, remainder) = (point(quotient), point(remainder));
        Ok(bindings::CellOpening { indices, values: scalars(values), quotient, remainder })
    }
}

impl Dossier {
    /// Fetches a batch's blobs. `None` if one is missing or is not what was posted: either way
    /// nobody can see the batch.
    ///
    /// # Errors
    /// [`Error::Availability`] if the layer cannot be reached, [`Error::Prover`] if there are too few
    /// powers of tau for the blobs.
    pub(crate) async fn fetch(
        layer: &SharedAvailability,
        kzg: &Kzg,
        batch: &ChainBatch,
    ) -> Result<Option<Self>> {
        let posted = &batch.submission;
        let Some(ledger) = PostedLedger::fetch(layer, kzg, batch).await? else { return Ok(None) };
        let layout = SlotLayout::new(posted.witnessSymbols as usize, posted.slotCells as usize)?;
        let mut witnesses = Vec::new();
        let certificates = posted.certificates.iter().skip(1);
        for (commitment, certificate) in posted.witnesses.iter().zip(certificates) {
            match blob(layer, kzg, commitment, certificate, layout.symbols()).await? {
                Some(blob) => witnesses.push(blob),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { ledger, layout, witnesses }))
    }

    /// Symbols of the witness blobs.
    pub(super) fn blobs(&self) -> Vec<&[u8]> {
        self.witnesses.iter().map(BlobCommitment::blob).collect()
    }

    /// Records that the witness blobs have room for.
    pub(super) const fn capacity(&self) -> usize {
        self.layout.per_blob() * self.witnesses.len()
    }

    /// The bytes of a record's witness, by the record's ordinal: [`SlotLayout::witness`].
    pub(crate) fn witness(
        &self,
        ordinal: usize,
        dim: impl FnOnce(ModelId) -> usize,
    ) -> Option<Vec<u8>> {
        self.layout.witness(&self.blobs(), ordinal, dim)
    }

    /// Opens the slot of a record's ordinal.
    pub(super) fn open_slot(&self, kzg: &Kzg, ordinal: usize) -> Result<bindings::SlotOpening> {
        let place = self.layout.place(ordinal);
        let blob = self.witnesses.get(place.blob).ok_or_else(|| {
            Error::Dispute(format!("record {ordinal} has no witness blob {}", place.blob))
        })?;
        let opening = blob.open_slot(kzg.srs(), index(self.layout.cells()), index(place.slot))?;
        let SlotOpening { values, quotient, remainder } = opening;
        let (quotient, remainder) = (point(quotient), point(remainder));
        Ok(bindings::SlotOpening { values: scalars(values), quotient, remainder })
    }
}

/// A blob that is what was posted.
async fn blob(
    layer: &SharedAvailability,
    kzg: &Kzg,
    commitment: &G1Point,
    certificate: &[u8],
    symbols: usize,
) -> Result<Option<BlobCommitment>> {
    let Some(bytes) = layer.get(commitment.clone(), certificate).await? else { return Ok(None) };
    if bytes.len() != symbols * SYMBOL_BYTES {
        return Ok(None);
    }
    let (kzg, posted) = (kzg.clone(), commitment.clone());
    blocking(move || match BlobCommitment::new(kzg.srs(), bytes) {
        Ok(blob) => Ok((point(blob.commitment()) == posted).then_some(blob)),
        Err(prover::Error::SymbolRange { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    })
    .await
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("a blob has at most 2^19 symbols")
}

fn scalars(values: Vec<prover::Fr>) -> Vec<U256> {
    values.into_iter().map(|value| U256::from_be_bytes(evm::word(value))).collect()
}
