//! Known values: bytes noted from a vLLM server, and hashes computed with CPython 3 (`pickle`,
//! `hashlib`), cbor2 and python-xxhash 4.1.0 (libxxhash 0.8.4).

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Large numbers of every encoded width.
fn scattered(count: u32) -> Vec<u32> {
    (0..count).map(|i| i.wrapping_mul(2_654_435_761)).collect()
}

fn small(count: u32) -> Vec<u32> {
    (0..count).map(|i| i % 256).collect()
}

#[test]
fn dynamo_hashes_are_those_of_python_xxhash() {
    let ramp: Vec<u32> = (0..512).collect();
    assert_eq!(dynamo_local(&ramp[..16]), 0xd47a_8f41_c833_328a);
    assert_eq!(dynamo_local(&ramp), 0x8a51_f724_ea2e_8424);
    let large: Vec<u32> = (0..64u32).map(|i| (i * 7919).wrapping_add(4_294_967_000)).collect();
    assert_eq!(dynamo_local(&large), 0x0d80_d417_5d26_3425);
    let squares: Vec<u32> = (0..50).map(|i| i * i).collect();
    let found = dynamo_blocks(&squares, 16).into_iter().map(|b| (b.local, b.sequence));
    let expected = [
        (0xcc50_d0d9_2712_c533, 0xcc50_d0d9_2712_c533),
        (0x50ef_cd63_44c9_87ff, 0x563a_5bfd_f2a1_cc9b),
        (0x5239_3507_387e_3276, 0x4d51_0b2b_587b_a5b3),
    ];
    assert!(found.eq(expected));
}

#[test]
fn encodings_have_the_bytes_that_vllm_hashes() {
    let parent: [u8; 32] = std::array::from_fn(|at| at as u8);
    let tokens = [5, 300, 70_000];
    let (before, after) = ("80059533000000000000004320", "944b054d2c014a7011010087944e87942e");
    let pickle = before.to_string() + &hex(&parent) + after;
    assert_eq!(hex(&pickled_block(&parent, &tokens)), pickle);
    let cbor = "835820".to_string() + &hex(&parent) + "830519012c1a00011170f6";
    assert_eq!(hex(&cbor_block(&parent, &tokens)), cbor);
    assert_eq!(hex(&pickled_text("")), "80059504000000000000008c00942e");
    let long = hex(&digest(&pickled_text(&"x".repeat(300))).0);
    assert_eq!(long, "796f623498b3224e9ffa6f299974768d44172394206833986218bec606c32794");
}

#[test]
fn pickled_blocks_hash_as_in_python_whatever_their_tokens_and_length() {
    let root = VllmAlgorithm::Sha256.root("0");
    let none_hash = "1973e23848344dc43a988a9b478663803cfffe1243480253f9a3cf004b14aa7c";
    assert_eq!(hex(&root.0), none_hash);
    // Frames: 32,749 tokens of two bytes fill one exactly, up to the final object.
    let cases = [
        (vec![7], "4e7493abc7315520e17ce180ee400439b7dc83e7406fb239462766705eb058c8"),
        (vec![255, 256], "8ee3a33686f935ab2987ed33f72c76ede8526660a4eac2d64db7ec75e7cfbd29"),
        (vec![65535, 65536, 5], "041af9f2579a57ce756e71505b163224a54bcea58529f4ab729abfebe5418dad"),
        (
            vec![2_147_483_647, 2_147_483_648, 4_294_967_295, 0],
            "c46115bf0a47885b5154ec79cf2423fd74351da67455d0b1441c703118f50188",
        ),
        (small(32_748), "223c08b54cd64ba8cccfe2ce8b2f6b72d9ba4569d9b784f01cf746037dc23cbe"),
        (small(32_749), "126526791e570dded346093fe077c8d425c026cf5853f653dbdaa6d1b78e136a"),
        (small(32_750), "207ec5ae0732f8f7181a61caf759417334d32d8da0ebf5724cc7beb993c09d64"),
        (small(65_536), "4221ca52bcca1bca0a06bfddd4fbc191ae4a023efdbb29a8fc32f49ec155cbb8"),
        (scattered(65_536), "6f6241971bcef3031a745cd6f41e77e12a5505a1957a6e37b9b17142be272885"),
    ];
    for (tokens, expected) in cases {
        let found = VllmAlgorithm::Sha256.block(&root, &tokens);
        assert_eq!(hex(&found.0), expected, "{} tokens", tokens.len());
    }
    assert_eq!(root.low64(), 0xf9a3_cf00_4b14_aa7c);
}

#[test]
fn cbor_blocks_hash_as_in_python() {
    let root = VllmAlgorithm::Sha256Cbor.root("0");
    let expected = "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e";
    assert_eq!(hex(&root.0), expected);
    let cases = [
        (vec![7], "35f58530134c385607b0186c05d7c8b850dc3df234c5ef75df3526a4d9d85b58"),
        (
            vec![2_147_483_647, 2_147_483_648, 4_294_967_295, 0],
            "b14b12c28e876d4d52c69f40785f05fea61bd9ad70b3c6d070a140856a31a866",
        ),
        (scattered(65_536), "a5bf4cf2b4db2533ecbb75f46fd0626ab386d7118903ce7a402510a752978804"),
    ];
    for (tokens, expected) in cases {
        let found = VllmAlgorithm::Sha256Cbor.block(&root, &tokens);
        assert_eq!(hex(&found.0), expected, "{} tokens", tokens.len());
    }
}
