//! Which part listens where.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{
    options::Options,
    ports::{Kind, PortBook},
};

/// Where one message-api listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiAddresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Where one gateway listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatewayAddresses {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Where everything of one stack listens.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) front: Option<SocketAddr>,
    pub(crate) gateways: Vec<GatewayAddresses>,
    pub(crate) apis: Vec<ApiAddresses>,
    /// Keeps them reserved.
    pub(crate) book: PortBook,
}

impl Addresses {
    /// Chooses them all. The error names a port that is taken.
    pub(crate) fn choose(options: &Options) -> Result<Self> {
        let mut book = PortBook::default();
        let mut next = |kind, nth| book.address(&options.ports, kind, nth);
        let front = options.front.then(|| next(Kind::Front, 0)).transpose()?;
        let gateways = (0..options.gateways)
            .map(|nth| {
                let (http, admin) = (next(Kind::Gateway, nth)?, next(Kind::GatewayAdmin, nth)?);
                Ok(GatewayAddresses { http, admin })
            })
            .collect::<Result<_>>()?;
        let apis = (0..options.apis)
            .map(|nth| {
                let (http, grpc) = (next(Kind::Api, nth)?, next(Kind::Grpc, nth)?);
                Ok(ApiAddresses { http, grpc, admin: next(Kind::ApiAdmin, nth)? })
            })
            .collect::<Result<_>>()?;
        Ok(Self { front, gateways, apis, book })
    }
}
