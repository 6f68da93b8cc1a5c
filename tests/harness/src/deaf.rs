//! A client that stops reading: its operating system takes little, and then nothing.

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::mailbox::PATIENCE;

/// Bytes that its operating system takes.
const TAKEN: u32 = 4 * 1024;

/// It stays connected, and says and reads nothing more, until it is dropped.
#[derive(Debug)]
pub struct DeafSocket {
    _stream: TcpStream,
}

impl DeafSocket {
    /// Connects to a gateway's `/`, asks for one thing, and stops reading at the answer.
    /// `request` is an event with its payload, e.g. `["join room",{"roomId":"1"}]`.
    pub async fn asks(url: &str, token: &str, request: &str) -> Result<Self> {
        let mut stream = upgraded(url, "/socket.io/?EIO=4&transport=websocket").await?;
        read_until(&mut stream, "0{").await?;
        stream.write_all(&text(&format!(r#"40{{"token":"{token}"}}"#))).await?;
        read_until(&mut stream, "40{").await?;
        stream.write_all(&text(&format!("421{request}"))).await?;
        read_until(&mut stream, "431[").await?;
        Ok(Self { _stream: stream })
    }

    /// Opens the live websocket of a conversation (001), and stops reading at once.
    pub async fn watches(url: &str, token: &str, conversation: &str) -> Result<Self> {
        let path = format!("/ws/conversations/{conversation}?token={token}");
        let mut stream = upgraded(url, &path).await?;
        read_until(&mut stream, "101 ").await?;
        Ok(Self { _stream: stream })
    }
}

/// A connection that has asked for a websocket.
async fn upgraded(url: &str, path: &str) -> Result<TcpStream> {
    let host = url.trim_start_matches("http://");
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(TAKEN)?;
    let mut stream = socket.connect(host.parse().context("an address")?).await?;
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await?;
    Ok(stream)
}

/// A text frame, under a mask of zeros.
fn text(payload: &str) -> Vec<u8> {
    let bytes = payload.as_bytes();
    let mut frame = vec![0x81];
    match u8::try_from(bytes.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(bytes);
    frame
}

async fn read_until(stream: &mut TcpStream, wanted: &str) -> Result<()> {
    let mut heard = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&heard).contains(wanted) {
            ensure!(stream.read_buf(&mut heard).await? > 0, "the connection ended");
        }
        Ok(())
    };
    timeout(PATIENCE, reading).await.with_context(|| format!("{wanted} did not come"))?
}
