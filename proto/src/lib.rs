//! Hop 3 of 10: the verbs between services, and their shapes.
//! From the gateway's `chat_client.rs`; next message-api's `grpc.rs`.
//!
//! [`v1`] is generated from `switchboard/v1/*.proto`; [`convert`] turns its shapes into the
//! model's and back; [`status`] does so with refusals.

pub mod convert;
pub mod status;

/// Generated from package `switchboard.v1`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("switchboard.v1");
}

/// The compiled descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The metadata key under which a service shows its token, as `Bearer <token>`.
pub const AUTHORIZATION: &str = "authorization";
