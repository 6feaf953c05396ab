// Command vectors writes a certificate in the encodings of EigenDA's own library: ABI, as its contracts take it, and
// RLP, as its proxy gives it. Contracts and node are tested on it.
//
//	go run ./vectors > ../test/vectors/eigenda_certificate.json
package main

import (
	"encoding/hex"
	"encoding/json"
	"log"
	"math/big"
	"os"

	binding "github.com/Layr-Labs/eigenda/contracts/bindings/IEigenDACertTypeBindings"
	"github.com/ethereum/go-ethereum/rlp"
)

// The ceremony's generator: a commitment with a short coordinate, which RLP writes in one byte.
var commitment = binding.BN254G1Point{X: big.NewInt(1), Y: big.NewInt(2)}

const (
	symbols        = 4096
	referenceBlock = 23456789
)

func g2(from int64) binding.BN254G2Point {
	pair := func(x int64) [2]*big.Int { return [2]*big.Int{big.NewInt(x), big.NewInt(x + 1)} }
	return binding.BN254G2Point{X: pair(from), Y: pair(from + 2)}
}

func filled(length int, value byte) []byte {
	bytes := make([]byte, length)
	for i := range bytes {
		bytes[i] = value
	}
	return bytes
}

func certificate() binding.EigenDACertTypesEigenDACertV3 {
	return binding.EigenDACertTypesEigenDACertV3{
		BatchHeader: binding.EigenDATypesV2BatchHeaderV2{
			BatchRoot:            [32]byte(filled(32, 0xa1)),
			ReferenceBlockNumber: referenceBlock,
		},
		BlobInclusionInfo: binding.EigenDATypesV2BlobInclusionInfo{
			BlobCertificate: binding.EigenDATypesV2BlobCertificate{
				BlobHeader: binding.EigenDATypesV2BlobHeaderV2{
					QuorumNumbers: []byte{0, 1},
					Commitment: binding.EigenDATypesV2BlobCommitment{
						Commitment:       commitment,
						LengthCommitment: g2(1000),
						LengthProof:      g2(2000),
						Length:           symbols,
					},
					PaymentHeaderHash: [32]byte(filled(32, 0xb2)),
				},
				Signature: filled(65, 0xc3),
				RelayKeys: []uint32{0, 7},
			},
			BlobIndex:      3,
			InclusionProof: filled(96, 0xd4),
		},
		NonSignerStakesAndSignature: binding.EigenDATypesV1NonSignerStakesAndSignature{
			NonSignerQuorumBitmapIndices: []uint32{5},
			NonSignerPubkeys:             []binding.BN254G1Point{{X: big.NewInt(31), Y: big.NewInt(32)}},
			QuorumApks:                   []binding.BN254G1Point{{X: big.NewInt(33), Y: big.NewInt(34)}},
			ApkG2:                        g2(3000),
			Sigma:                        binding.BN254G1Point{X: big.NewInt(35), Y: big.NewInt(36)},
			QuorumApkIndices:             []uint32{8, 9},
			TotalStakeIndices:            []uint32{10, 11},
			NonSignerStakeIndices:        [][]uint32{{12}, {}},
		},
		SignedQuorumNumbers: []byte{0, 1},
	}
}

func main() {
	log.SetFlags(0)
	contract, err := binding.ContractIEigenDACertTypeBindingsMetaData.GetAbi()
	if err != nil {
		log.Fatal(err)
	}
	abi, err := contract.Methods["dummyVerifyDACertV3"].Inputs.Pack(certificate())
	if err != nil {
		log.Fatal(err)
	}
	list, err := rlp.EncodeToBytes(certificate())
	if err != nil {
		log.Fatal(err)
	}
	vector := map[string]any{
		"abi":            "0x" + hex.EncodeToString(abi),
		"rlp":            "0x02" + hex.EncodeToString(list),
		"x":              commitment.X.String(),
		"y":              commitment.Y.String(),
		"symbols":        symbols,
		"referenceBlock": referenceBlock,
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(vector); err != nil {
		log.Fatal(err)
	}
}
