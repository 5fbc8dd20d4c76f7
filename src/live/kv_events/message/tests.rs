use super::*;
use crate::live::kv_events::fixture;
use crate::rng::{Rng, Stream, stream};
use rand::Rng as _;
use serde_json::{Value, json};

/// A message around `events`, number 7.
fn frames(events: Value) -> [Vec<u8>; 3] {
    fixture::frames(7, &json!([1.5, events, 0]))
}

fn events(events: Value) -> Vec<Event> {
    decode(&frames(events)).unwrap().events
}

fn stored() -> Value {
    json!({
        "type": "BlockStored", "block_hashes": [u64::MAX, 2], "parent_block_hash": 9,
        "token_ids": [1, 2, 3, 70000], "block_size": 2, "lora_id": null, "medium": "GPU",
        "lora_name": null, "extra_keys": [null, null], "group_idx": 0,
        "kv_cache_spec_kind": "full_attention",
    })
}

fn expected() -> Stored {
    Stored {
        hashes: vec![u64::MAX, 2],
        parent: Some(9),
        tokens: vec![1, 2, 3, 70000],
        block_tokens: 2,
        salts: vec![],
        place: Place::Device,
    }
}

fn changed(key: &str, value: Value) -> Value {
    let mut event = stored();
    event[key] = value;
    event
}

/// The only event of a message, which stores blocks.
fn one(event: Value) -> Stored {
    match events(json!([event])).remove(0) {
        Event::Stored(stored) => stored,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_of_maps_is_read_whole() {
    let removed = json!({"type": "BlockRemoved", "block_hashes": [5], "medium": null});
    let frames = frames(json!([{"type": "AllBlocksCleared"}, stored(), removed]));
    let batch = decode(&frames).unwrap();
    assert_eq!((batch.sequence, batch.published, batch.rank), (7, 1.5, Some(0)));
    let removed = Event::Removed { hashes: vec![5], place: Place::Device };
    assert_eq!(batch.events, [Event::Cleared, Event::Stored(expected()), removed]);
}

#[test]
fn the_arrays_of_older_engines_say_the_same() {
    let tokens = json!([1, 2, 3, 70000]);
    for fields in [
        json!(["BlockStored", [-1, 2], 9, tokens, 2]),
        json!(["BlockStored", [-1, 2], 9, tokens, 2, null]),
        json!(["BlockStored", [-1, 2], 9, tokens, 2, null, "GPU", null, [null, null], 0, "x", 1]),
    ] {
        assert_eq!(one(fields), expected());
    }
    let others = events(json!([["BlockRemoved", [5], "cpu"], ["AllBlocksCleared"]]));
    assert_eq!(others[0], Event::Removed { hashes: vec![5], place: Place::OtherTier });
    assert_eq!(others[1], Event::Cleared);
}

#[test]
fn names_of_bytes_are_shortened_as_vllm_shortens_them() {
    let mut long = [0x11; 32];
    long[24..].copy_from_slice(&0x0102_0304_0506_0708u64.to_be_bytes());
    let mut payload = vec![0x92, 0x00, 0x91, 0x92, 0xac];
    payload.extend(b"BlockRemoved");
    payload.extend([0x92, 0xc4, 32]);
    payload.extend(long);
    payload.extend([0xc4, 2, 1, 2]);
    let batch = decode_payload(0, &payload).unwrap();
    let hashes = vec![0x0102_0304_0506_0708, 0x0102];
    assert_eq!(batch.events, [Event::Removed { hashes, place: Place::Device }]);
}

#[test]
fn unknown_kinds_and_fields_are_passed_over_and_counted() {
    let odd = json!({"type": "BlockMoved", "token_ids": "not a list", "deep": [[[{"a": []}]]]});
    let batch = decode(&frames(json!([odd, ["BlockMoved", 1], changed("new", json!([1]))])));
    let batch = batch.unwrap();
    assert_eq!((batch.unknown, batch.events), (2, vec![Event::Stored(expected())]));
}

#[test]
fn tiers_groups_and_places_elsewhere_are_told_apart() {
    assert_eq!(one(changed("medium", json!("CPU"))).place, Place::OtherTier);
    assert_eq!(one(changed("medium", json!(null))).place, Place::Device);
    assert_eq!(one(changed("locality", json!("REMOTE"))).place, Place::OtherTier);
    assert_eq!(one(changed("group_idx", json!(1))).place, Place::OtherGroup);
}

#[test]
fn adapters_images_and_salts_make_other_blocks_of_the_same_tokens() {
    let salts = |key: &str, value| one(changed(key, value)).salts;
    let adapter = salts("lora_name", json!("a"));
    assert!(adapter.len() == 2 && adapter[0] == adapter[1] && adapter[0] != 0);
    assert_ne!(adapter, salts("lora_name", json!("b")));
    let image = salts("extra_keys", json!([null, ["image", 3]]));
    assert!(image[0] == 0 && image[1] != 0);
}

#[test]
fn what_is_wrong_with_a_message_is_said() {
    let why = |event: Value| decode(&frames(json!([event]))).unwrap_err();
    assert_eq!(why(changed("token_ids", json!(null))).sequence, Some(7));
    assert!(why(changed("token_ids", json!([-1]))).to_string().contains("negative"));
    assert!(why(changed("block_hashes", json!(3))).to_string().contains("list is missing"));
    assert!(why(json!({"block_hashes": []})).to_string().contains("no kind"));
    assert!(why(json!([])).to_string().contains("no kind"));
    let [topic, sequence, payload] = frames(json!([]));
    assert!(decode(&[&topic, &sequence]).unwrap_err().to_string().contains("three frames"));
    assert!(decode(&[&topic, &topic, &payload]).unwrap_err().to_string().contains("8 bytes"));
    let longer = [&payload[..], &[0]].concat();
    assert!(decode(&[&topic, &sequence, &longer]).unwrap_err().to_string().contains("follow"));
}

#[test]
fn lengths_that_are_claimed_but_not_there_are_refused() {
    for claim in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
        // As events, as the fields of one, and within a field that is skipped.
        for before in [&[0x92, 0x00][..], &[0x92, 0x00, 0x91], &[0x94, 0x00, 0x90, 0xc0]] {
            let payload = [before, claim, &[0x91; 100]].concat();
            assert!(decode_payload(0, &payload).is_err());
        }
    }
    // A hundred thousand lists in each other.
    let deep = [&[0x94, 0x00, 0x90, 0xc0][..], &[0x91; 100_000], &[0x00]].concat();
    assert!(decode_payload(0, &deep).is_ok());
}

#[test]
fn recorded_messages_of_a_real_server_are_read_to_the_last_event() {
    for (file, messages, blocks) in
        [("vllm-seq-hard-events.jsonl", 417, 921), ("vllm-cbor-events.jsonl", 40, 108)]
    {
        let Some(recorded) = fixture::recorded(file) else { return };
        let batches: Vec<Batch> = recorded.iter().map(|one| decode(one).unwrap()).collect();
        assert_eq!(batches.len(), messages);
        let stored = batches.iter().flat_map(|batch| &batch.events).map(|event| match event {
            Event::Stored(stored) => {
                let size = stored.block_tokens as usize;
                assert_eq!(stored.tokens.len(), size * stored.hashes.len());
                assert_eq!((stored.place, stored.salts.len()), (Place::Device, 0));
                stored.hashes.len()
            }
            Event::Removed { .. } | Event::Cleared => 0,
        });
        assert_eq!(stored.sum::<usize>(), blocks);
        assert!(batches.iter().all(|batch| batch.unknown == 0 && batch.rank == Some(0)));
    }
}

/// A number below `limit`.
fn below(rng: &mut Rng, limit: usize) -> usize {
    (rng.next_u64() % limit.max(1) as u64) as usize
}

/// Spoils one of `seeds`.
fn mutated(rng: &mut Rng, seeds: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut frames = seeds[below(rng, seeds.len())].clone();
    // Mostly the payload.
    let which = if below(rng, 8) == 0 { below(rng, 3) } else { 2 };
    let other = seeds[below(rng, seeds.len())][2].clone();
    let frame = &mut frames[which];
    let at = below(rng, frame.len());
    match below(rng, 8) {
        0 if !frame.is_empty() => frame[at] ^= 1 << below(rng, 8),
        1 => frame.truncate(at),
        2 => {
            frame.truncate(at);
            frame.extend(&other[below(rng, other.len())..]);
        }
        3 => drop(frame.drain(at..(at + below(rng, 64)).min(frame.len()))),
        // A length or a kind of value, made up.
        4 if !frame.is_empty() => frame[at] = 0x80 | below(rng, 128) as u8,
        5 => {
            let bytes = (0..below(rng, 40)).map(|_| rng.next_u64() as u8).collect::<Vec<_>>();
            frame.splice(at..at, bytes);
        }
        6 => *frame = (0..below(rng, 300)).map(|_| rng.next_u64() as u8).collect(),
        // A length field of an array or a map, far too large.
        _ => {
            let marks = [0xdc, 0xdd, 0xde, 0xdf, 0xc6, 0xdb, 0xc9];
            let place = frame.iter().position(|byte| marks.contains(byte)).unwrap_or(0);
            let end = (place + 5).min(frame.len());
            frame[(place + 1).min(end)..end].fill(rng.next_u64() as u8);
        }
    }
    if below(rng, 50) == 0 {
        frames.remove(below(rng, 3));
    }
    frames
}

#[test]
fn of_100_000_spoilt_messages_each_is_read_or_refused() {
    let removed = json!(["BlockRemoved", [5, -7], "GPU"]);
    let built = frames(json!([["BlockStored", [1], null, [1, 2], 2, 4], stored(), removed]));
    let mut seeds = vec![built.to_vec()];
    seeds.extend(fixture::recorded("vllm-cbor-events.jsonl").unwrap_or_default());
    seeds.extend(fixture::recorded("vllm-seq-hard-events.jsonl").unwrap_or_default());
    let mut rng = stream(2026, Stream::EventLoss, 0);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let frames = mutated(&mut rng, &seeds);
        let size = frames.iter().map(Vec::len).sum::<usize>();
        match decode(&frames) {
            Ok(batch) => {
                let held = batch.events.iter().map(|event| match event {
                    Event::Stored(stored) => stored.hashes.len() + stored.tokens.len(),
                    Event::Removed { hashes, .. } => hashes.len(),
                    Event::Cleared => 1,
                });
                assert!(held.sum::<usize>() <= size, "more than the message holds");
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(read + refused, 100_000);
    // The mutations are neither harmless nor all fatal.
    assert!(read > 10_000 && refused > 10_000, "{read} read, {refused} refused");
}
