// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "./Kzg.sol";

/// @notice The part of EigenDA's certificates that says what blob they are of.
/// @dev Versions 3 and 4 begin with the same two members, and ABI decoding of a structure's first members does not look
/// at those after them. EigenDA's names are in its `EigenDACertTypes` and `EigenDATypesV2`.
library EigenDACertificate {
    /// @param referenceBlock L1 block at which EigenDA's operators and their stakes were looked up
    struct Batch {
        bytes32 root;
        uint32 referenceBlock;
    }

    /// @param symbols field elements of the blob, a power of two
    struct Commitment {
        G1Point commitment;
        G2Point lengthCommitment;
        G2Point lengthProof;
        uint32 symbols;
    }

    struct Header {
        uint16 version;
        bytes quorums;
        Commitment commitment;
        bytes32 paymentHash;
    }

    struct Blob {
        Header header;
        bytes signature;
        uint32[] relays;
    }

    struct Inclusion {
        Blob blob;
        uint32 index;
        bytes proof;
    }

    struct Head {
        Batch batch;
        Inclusion inclusion;
    }

    /// @notice Reads an ABI-encoded certificate; reverts if it is none.
    function read(bytes calldata certificate)
        internal
        pure
        returns (G1Point memory commitment, uint32 symbols, uint32 referenceBlock)
    {
        Head memory head = abi.decode(certificate, (Head));
        Commitment memory blob = head.inclusion.blob.header.commitment;
        return (blob.commitment, blob.symbols, head.batch.referenceBlock);
    }
}
