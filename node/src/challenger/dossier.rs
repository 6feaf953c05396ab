//! Everything that data availability has of a batch, checked against what was posted.

use alloy::primitives::U256;
use attribution::settle::{CELLS_PER_ROW, SYMBOL_BYTES, SlotLayout, audit::Rows};
use prover::{BlobCommitment, CellOpening, SlotOpening, evm};

use crate::{
    Error, Result,
    chain::bindings::{self, G1Point},
    committer::{Kzg, point},
    da::SharedAvailability,
    indexer::views::ChainBatch,
    worker::blocking,
};

/// The blobs of a batch.
#[derive(Debug)]
pub(crate) struct Dossier {
    pub(crate) rows: Rows,
    pub(crate) layout: SlotLayout,
    /// Symbols of the witness blobs.
    pub(crate) blobs: Vec<Vec<u8>>,
    ledger: BlobCommitment,
    witnesses: Vec<BlobCommitment>,
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
        let symbols = |blob: usize| match blob {
            0 => CELLS_PER_ROW * posted.rows as usize,
            _ => posted.witnessSymbols as usize,
        };
        let commitments = std::iter::once(&posted.ledger).chain(&posted.witnesses);
        let mut blobs = Vec::new();
        for (i, (commitment, certificate)) in commitments.zip(&posted.certificates).enumerate() {
            match blob(layer, kzg, commitment, certificate, symbols(i)).await? {
                Some(blob) => blobs.push(blob),
                None => return Ok(None),
            }
        }
        let ledger = blobs.remove(0);
        let layout = SlotLayout::new(posted.witnessSymbols as usize, posted.slotCells as usize)?;
        let rows = Rows::from_symbols(ledger.blob().as_chunks::<SYMBOL_BYTES>().0);
        let copies = blobs.iter().map(|blob| blob.blob().to_vec()).collect();
        Ok(Some(Self { rows, layout, blobs: copies, ledger, witnesses: blobs }))
    }

    /// Opens whole rows of the ledger, given in ascending order.
    pub(super) fn open_rows(&self, kzg: &Kzg, rows: &[usize]) -> Result<bindings::CellOpening> {
        let cells = |&row: &usize| (0..CELLS_PER_ROW).map(move |cell| row * CELLS_PER_ROW + cell);
        let indices: Vec<u32> = rows.iter().flat_map(cells).map(index).collect();
        self.open_cells(kzg, &indices)
    }

    /// Opens cells of the ledger, given in ascending order.
    pub(crate) fn open_cells(&self, kzg: &Kzg, indices: &[u32]) -> Result<bindings::CellOpening> {
        let opening = self.ledger.open_cells(kzg.srs(), indices)?;
        let CellOpening { indices, values, quotient, remainder } = opening;
        let (quotient, remainder) = (point(quotient), point(remainder));
        Ok(bindings::CellOpening { indices, values: scalars(values), quotient, remainder })
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
