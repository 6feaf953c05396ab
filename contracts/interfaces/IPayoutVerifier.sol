// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "../libraries/Kzg.sol";
import {BatchId, ChannelId} from "../types/Ids.sol";

/// @notice Checks that the payout commitments of a batch are what its ledger says, without reading the ledger.
/// @dev The argument is specified in prover/SPEC.md. It shows that with the draws every account of the ledger sums to
/// zero, that no row pays a negative amount, that each earner gets the sum of the rows that pay it and nobody else is
/// paid, that payouts sum to the total, and that payout polynomials have a degree below the page size. Its cost does
/// not depend on the number of rows.
///
/// Not shown, and the caller's to check: that `ledger` commits to an available blob of exactly 8 * rows symbols (the
/// certificate), that the draws are authorised, that the batch is new. What rows say is for disputes.
interface IPayoutVerifier {
    /// @param amount gwei drawn
    struct ChannelDraw {
        ChannelId channel;
        uint64 amount;
    }

    /// @param settlement the contract that the batch is submitted to: the caller passes itself
    /// @param certificateHash keccak256 of the data-availability certificate
    /// @param rows of the ledger, a power of two from 8 to 65536
    /// @param total gwei drawn and paid
    /// @param ledger commitment to the ledger blob
    /// @param witnesses commitments to further blobs of the batch, which the proof binds and does not read
    /// @param pages strictly increasing numbers of the earner pages paid
    /// @param payouts commitment to the payouts of each page
    struct Statement {
        address settlement;
        address operator;
        BatchId batch;
        bytes32 certificateHash;
        uint32 rows;
        uint64 total;
        ChannelDraw[] draws;
        G1Point ledger;
        G1Point[] witnesses;
        uint32[] pages;
        G1Point[] payouts;
    }

    /// @dev Thrown at construction unless the page size is a power of two from 2^4 to 2^16.
    error UnsupportedPageSize(uint32 pageSize);
    /// @dev Thrown at construction unless tau G2 and the identity column are points and not the identity.
    error InvalidKey();

    /// @notice Earners per page (M).
    function pageSize() external view returns (uint32);

    /// @notice Limbs of an amount (L): digits of base M that 64 bits need.
    function limbs() external view returns (uint256);

    /// @notice tau G2 of the structured reference string.
    function tauG2() external view returns (G2Point memory);

    /// @notice Commitment to the polynomial of degree below M with value k at v^k.
    /// @dev Warning: the deployer chose it. A wrong one makes false proofs possible, so compare it with your own.
    function identity() external view returns (G1Point memory);

    /// @notice Whether `proof` shows the statement on this chain. False for whatever breaks a rule.
    /// @param proof the 29 + 3 * limbs + 8 * pages words of section 6 of the specification
    function verify(Statement calldata statement, uint256[] calldata proof) external view returns (bool);
}
