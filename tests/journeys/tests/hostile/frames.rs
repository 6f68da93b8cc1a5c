//! gRPC whose frames, messages and protobuf are none, or too many.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use switchboard_proto::{DESCRIPTORS, v1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Stage,
    http2::{
        CONTINUATION, Caller, END_HEADERS, GO_AWAY, HEADERS, HEALTH, PING, RESET, SETTINGS, field,
        frame, has_frame, head, message, preface, whole,
    },
};

/// gRPC's own numbers.
const INVALID_ARGUMENT: u8 = 3;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAUTHENTICATED: u8 = 16;

const VERB: &str = "/switchboard.v1.ChatService/GetHeads";

/// Calls begun and taken back at once, on each of these connections.
const TAKEN_BACK: u32 = 10_000;
const CONNECTIONS: usize = 8;

/// Random requests for each verb.
const RANDOM: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_are_refused_by_their_codes() -> Result<()> {
    let stage = Stage::set("messages").await?;
    let (grpc, token) = (stage.grpc(), stage.token.clone());
    let bearer = format!("Bearer {token}");
    let long = vec![0x78; 2 << 20];
    let bodies: [(&str, Vec<u8>, &[u8]); 9] = [
        ("4 GiB are announced", message(0, u32::MAX, b""), &[INVALID_ARGUMENT]),
        ("2 MiB come", whole(&long), &[INVALID_ARGUMENT]),
        ("compressed, nobody says how", message(1, 3, b"\x1f\x8b\x08"), &[INTERNAL]),
        ("no such flag", message(7, 0, b""), &[INTERNAL]),
        ("nothing at all", Vec::new(), &[INTERNAL, UNIMPLEMENTED]),
        ("less than announced", message(0, 100, b"\x0a"), &[INTERNAL]),
        ("half a head", b"\0\0".to_vec(), &[INTERNAL]),
        ("no protobuf", whole(b"\xff\xff\xff\xff"), &[INVALID_ARGUMENT]),
        ("a field longer than all", whole(b"\x0a\xff\xff\xff\xff\x0f"), &[INVALID_ARGUMENT]),
    ];
    let attack = async {
        let caller = Caller::at(&grpc).await?;
        for (what, body, codes) in &bodies {
            let answer = caller.with_token(&token, VERB, body).await?;
            ensure!(answer.http == 200, "{what}: {answer:?}");
            ensure!(answer.code.is_some_and(|code| codes.contains(&code)), "{what}: {answer:?}");
            ensure!(answer.sentence.len() < 1_000, "{what}: {answer:?}");
            // Without a token nothing of it is looked at, and health answers by its own rules.
            let answer = caller.call(VERB, &[], body).await?;
            ensure!(answer.code == Some(UNAUTHENTICATED), "{what}: {answer:?}");
            let answer = caller.call(HEALTH, &[], body).await?;
            ensure!(answer.http == 200 && answer.code != Some(0), "{what}: {answer:?}");
        }
        let packed = message(1, 3, b"\x1f\x8b\x08");
        let headers = [("authorization", &*bearer), ("grpc-encoding", "gzip")];
        let answer = caller.call(VERB, &headers, &packed).await?;
        ensure!(answer.code == Some(UNIMPLEMENTED), "{answer:?}");
        // What comes after the message of a call that takes one is not looked at.
        let more = [whole(&[]), b"\xff\xff".to_vec()].concat();
        let answer = caller.with_token(&token, VERB, &more).await?;
        ensure!([Some(0), Some(INTERNAL)].contains(&answer.code), "{answer:?}");
        let answer = caller.call(VERB, &[("authorization", &bearer)], &whole(&[])).await?;
        ensure!(answer.code == Some(0), "the connection lives on: {answer:?}");
        Ok(())
    };
    stage.stands(attack).await
}

/// Bytes that are often protobuf: fields of known numbers with values of every kind.
fn protobuf(random: &mut StdRng, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(0..6) {
        let (number, kind) = (random.random_range(1..9_u32), random.random_range(0..7_u32));
        match kind {
            0 => {
                prost::encoding::uint64::encode(number, &any_number(random), &mut bytes);
            }
            1 => prost::encoding::fixed64::encode(number, &random.random(), &mut bytes),
            2 => prost::encoding::fixed32::encode(number, &random.random(), &mut bytes),
            3 if depth < 4 => {
                let inner = protobuf(random, depth + 1);
                prost::encoding::bytes::encode(number, &inner, &mut bytes);
            }
            4 => {
                let length = random.random_range(0..64);
                let inner: Vec<u8> = (0..length).map(|_| random.random()).collect();
                prost::encoding::bytes::encode(number, &inner, &mut bytes);
            }
            5 => bytes.extend((0..4).map(|_| random.random::<u8>())),
            _ => {
                let words = ["lobby", "alice", "0000000000000002", "", "\0", "-1", "a1 1 1"];
                let word = words[random.random_range(0..words.len())].to_owned();
                prost::encoding::string::encode(number, &word, &mut bytes);
            }
        }
    }
    bytes
}

fn any_number(random: &mut StdRng) -> u64 {
    match random.random_range(0..4) {
        0 => u64::MAX,
        1 => i64::MAX as u64,
        2 => random.random_range(0..4),
        _ => random.random(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_protobuf_a_verb_gets_it_answers_or_refuses_it() -> Result<()> {
    let stage = Stage::set("protobuf").await?;
    let (grpc, token) = (stage.grpc(), stage.token.clone());
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS)?.file;
    let services = files.iter().flat_map(|file| &file.service);
    let ours: Vec<_> = services.filter(|service| service.name() == "ChatService").collect();
    let verbs = ours.iter().flat_map(|service| &service.method).map(|verb| verb.name());
    let verbs: Vec<_> = verbs.collect();
    ensure!(verbs.len() > 20, "{verbs:?}");
    let mut random = StdRng::seed_from_u64(7);
    let attack = async {
        let caller = Caller::at(&grpc).await?;
        for verb in verbs {
            let path = format!("/switchboard.v1.ChatService/{verb}");
            for _ in 0..RANDOM {
                let body = whole(&protobuf(&mut random, 0));
                let answer = caller.with_token(&token, &path, &body).await?;
                // Neither unknown, internal, unavailable nor lost data.
                let is_ours = matches!(answer.code, Some(2 | 13 | 14 | 15));
                ensure!(!is_ours, "{verb}: {answer:?} to {}", body.escape_ascii());
                ensure!(answer.sentence.len() < 1_000, "{verb}: {answer:?}");
            }
        }
        Ok(())
    };
    stage.stands(attack).await?;
    // What a gateway takes for words of message-api is what its own types read.
    v1::Event::decode(&b"\xff"[..]).expect_err("no protobuf");
    Ok(())
}

/// Sends without reading, until the other side ends it or takes no more; then reads what came.
async fn floods(address: &str, parts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut all = preface();
    parts.for_each(|part| all.extend(part));
    let _ = timeout(Duration::from_secs(5), stream.write_all(&all)).await;
    let mut heard = Vec::new();
    // What is not answered any more is as good as an end.
    let _ = timeout(Duration::from_secs(3), stream.read_to_end(&mut heard)).await;
    Ok(heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_taken_back_by_the_thousand_end_their_connection() -> Result<()> {
    let stage = Stage::set("resets").await?;
    let grpc = stage.grpc();
    let attack = async {
        let connections = (0..CONNECTIONS).map(|_| {
            let calls = (0..TAKEN_BACK).map(|n| {
                let stream = 2 * n + 1;
                let begun = frame(HEADERS, END_HEADERS, stream, &head(HEALTH));
                [begun, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
            });
            floods(&grpc, calls)
        });
        for heard in try_join_all(connections).await? {
            ensure!(has_frame(&heard, GO_AWAY), "{} bytes without an end", heard.len());
        }
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_and_heads_without_end_cost_nobody_anything() -> Result<()> {
    let stage = Stage::set("floods").await?;
    let grpc = stage.grpc();
    let many = 100_000;
    let open = || frame(HEADERS, END_HEADERS, 1, &head(HEALTH));
    let attack = async {
        floods(&grpc, (0..many).map(|_| frame(PING, 0, 0, &[7; 8]))).await?;
        floods(&grpc, (0..many).map(|_| frame(SETTINGS, 0, 0, &[]))).await?;
        let window = [&[0, 4][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
        floods(&grpc, (0..many).map(|_| frame(SETTINGS, 0, 0, &window))).await?;
        let empty = std::iter::once(open()).chain((0..many).map(|_| frame(0, 0, 1, &[])));
        floods(&grpc, empty).await?;
        let padded = [&[255][..], &[0; 255]].concat();
        let padded = std::iter::once(open()).chain((0..many).map(|_| frame(0, 8, 1, &padded)));
        floods(&grpc, padded).await?;
        // A head of 16 MiB, in pieces that never end.
        let fields = field("x-long", &[b'y'; 120]).repeat(100);
        let pieces = (0..1_300).map(|n| match n {
            0 => frame(HEADERS, 0, 1, &head(HEALTH)),
            _ => frame(CONTINUATION, 0, 1, &fields),
        });
        let heard = floods(&grpc, pieces).await?;
        ensure!(heard.is_empty() || has_frame(&heard, GO_AWAY), "{}", heard.escape_ascii());
        let pieces = (0..many).map(|n| match n {
            0 => frame(HEADERS, 0, 1, &head(HEALTH)),
            _ => frame(CONTINUATION, 0, 1, &[]),
        });
        let heard = floods(&grpc, pieces).await?;
        ensure!(heard.is_empty() || has_frame(&heard, GO_AWAY), "{}", heard.escape_ascii());
        // Frames that no connection knows, that are too long, or of streams that there are not.
        for bad in [
            frame(0, 0, 1, b"x"),
            frame(0, 0, 0, b"x"),
            frame(5, END_HEADERS, 2, &[]),
            frame(PING, 0, 0, &[0; 7]),
            frame(SETTINGS, 0, 0, &[0; 5]),
            frame(HEADERS, END_HEADERS, 2, &head(HEALTH)),
            frame(HEADERS, END_HEADERS, 1, &[0xff; 64]),
            vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
            frame(0x77, 0xff, 1, &[0; 100]),
        ] {
            floods(&grpc, std::iter::once(bad)).await?;
        }
        Ok(())
    };
    stage.stands(attack).await
}
