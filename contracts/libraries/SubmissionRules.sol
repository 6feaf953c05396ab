// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ISettlement} from "../interfaces/ISettlement.sol";
import {G1Point, Kzg} from "./Kzg.sol";

/// @title SubmissionRules
/// @notice What a submission must be whoever submits it and whatever was submitted before.
library SubmissionRules {
    uint32 private constant MIN_ROWS = 8;
    uint32 private constant MAX_ROWS = 65_536;
    uint32 private constant MIN_SLOT_CELLS = 8;
    uint32 private constant MAX_SYMBOLS = 1 << 19;

    /// @notice Checks rows, pages, totals and points of the ledger and its payouts.
    /// @param lastPage the last that has a registered earner
    /// @dev Reverts with `RowsOutOfRange`, `EmptyBatch`, `LengthMismatch`, `InvalidPoint`, `PagesMisordered` or
    /// `PageOutOfRange`.
    function checkShape(ISettlement.Submission calldata submission, uint32 lastPage) internal pure {
        uint32 rows = submission.rows;
        require(rows >= MIN_ROWS && rows <= MAX_ROWS && _isPowerOfTwo(rows), ISettlement.RowsOutOfRange(rows));
        require(submission.total > 0 && submission.pages.length > 0, ISettlement.EmptyBatch());
        require(
            submission.pages.length == submission.payouts.length,
            ISettlement.LengthMismatch(submission.pages.length, submission.payouts.length)
        );

        _checkPoint(submission.ledger);
        _checkPages(submission.pages, lastPage);
        for (uint256 i; i < submission.payouts.length; ++i) {
            _checkPoint(submission.payouts[i]);
        }
    }

    /// @notice Checks sizes and points of the witness blobs.
    /// @dev Reverts with `WitnessesOutOfRange`, `NoWitnesses` or `InvalidPoint`.
    function checkWitnesses(ISettlement.Submission calldata submission) internal pure {
        (uint32 symbols, uint32 cells) = (submission.witnessSymbols, submission.slotCells);
        // Slot 0 holds the payload's header, so a blob of one slot would hold no record.
        require(
            symbols <= MAX_SYMBOLS && _isPowerOfTwo(symbols) && cells >= MIN_SLOT_CELLS && _isPowerOfTwo(cells)
                && cells <= symbols / 2,
            ISettlement.WitnessesOutOfRange(symbols, cells)
        );
        require(submission.witnesses.length > 0, ISettlement.NoWitnesses());

        for (uint256 i; i < submission.witnesses.length; ++i) {
            _checkPoint(submission.witnesses[i]);
        }
    }

    function _checkPages(uint32[] calldata pages, uint32 lastPage) private pure {
        for (uint256 i; i < pages.length; ++i) {
            require(i == 0 || pages[i] > pages[i - 1], ISettlement.PagesMisordered());
            require(pages[i] <= lastPage, ISettlement.PageOutOfRange(pages[i], lastPage));
        }
    }

    function _checkPoint(G1Point calldata p) private pure {
        require(Kzg.isValid(p), ISettlement.InvalidPoint(p.x, p.y));
    }

    function _isPowerOfTwo(uint32 x) private pure returns (bool) {
        return x > 0 && x & (x - 1) == 0;
    }
}
