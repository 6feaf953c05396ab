"""Writes voucher_digest.json: voucher digests and signatures by eth-account, which shares no code with ours.

Run: pip install eth-account==0.14.0, then python3 make_voucher_vectors.py. Integers are decimal strings, since JSON
readers lose precision above 2^53. The payer's key is there to check signing; it holds nothing.
"""

import json
from pathlib import Path

from eth_abi import encode
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_utils import keccak, to_checksum_address

TYPES = {
    "Voucher": [
        {"name": "channelId", "type": "bytes32"},
        {"name": "ceiling", "type": "uint64"},
        {"name": "call", "type": "Call"},
    ],
    "Call": [
        {"name": "modelId", "type": "bytes32"},
        {"name": "priceVersion", "type": "uint32"},
        {"name": "promptHash", "type": "bytes32"},
        {"name": "seed", "type": "uint64"},
        {"name": "maxTokens", "type": "uint64"},
        {"name": "time", "type": "uint64"},
    ],
}

MAX_U64 = 2**64 - 1


def vector(name, chain_id, channels, key, operator, salt, ceiling, call):
    payer = Account.from_key(key)
    channel_id = keccak(
        encode(
            ["uint256", "address", "address", "address", "bytes32"], [chain_id, channels, payer.address, operator, salt]
        )
    )
    domain = {
        "name": "OpenLedger PaymentChannels",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": channels,
    }
    message = encode_typed_data(domain, TYPES, {"channelId": channel_id, "ceiling": ceiling, "call": call})
    return {
        "name": name,
        "chainId": str(chain_id),
        "paymentChannels": channels,
        "payerKey": "0x" + key.hex(),
        "payer": payer.address,
        "operator": operator,
        "salt": "0x" + salt.hex(),
        "channelId": "0x" + channel_id.hex(),
        "ceiling": str(ceiling),
        "call": {k: "0x" + v.hex() if isinstance(v, bytes) else str(v) for k, v in call.items()},
        "digest": "0x" + _hash_eip191_message(message).hex(),
        "signature": "0x" + payer.sign_message(message).signature.hex(),
    }


def call(model, price_version, prompt, seed, max_tokens, time):
    return {
        "modelId": model,
        "priceVersion": price_version,
        "promptHash": keccak(prompt),
        "seed": seed,
        "maxTokens": max_tokens,
        "time": time,
    }


def address(label):
    return to_checksum_address(keccak(text=label)[12:])


VECTORS = [
    vector(
        "ordinary", 161201, address("channels"), keccak(text="payer one"), address("operator one"), bytes(32),
        800_000_000, call(keccak(text="model one"), 1, b'{"prompt":"hello"}', 7, 128, 1_800_000_000),
    ),
    vector(
        "salted, another chain", 31337, address("channels two"), keccak(text="payer two"), address("operator two"),
        keccak(text="salt"), 1, call(keccak(text="model two"), 2, b"", 0, 1, 1),
    ),
    vector(
        "everything at its maximum", 1612, address("channels"), keccak(text="payer three"), address("operator three"),
        b"\xff" * 32, MAX_U64, call(b"\xff" * 32, 2**32 - 1, b"\xff" * 1000, MAX_U64, MAX_U64, MAX_U64),
    ),
    vector(
        "everything zero", 161201, address("channels"), keccak(text="payer four"), address("operator four"),
        bytes(32), 0, {"modelId": bytes(32), "priceVersion": 0, "promptHash": bytes(32), "seed": 0, "maxTokens": 0, "time": 0},
    ),
]

if __name__ == "__main__":
    path = Path(__file__).with_name("voucher_digest.json")
    path.write_text(json.dumps(VECTORS, indent=2) + "\n")
