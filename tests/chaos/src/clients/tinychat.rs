//! 000 over Socket.IO: only listens to the lobby. Its protocol has no catching up.

use anyhow::Result;
use async_trait::async_trait;
use harness::SocketIo;

use super::{Answer, Dialect, Me, ears::Ears, me::Told};
use crate::books::{How, Sent, What};

/// Somebody who listens.
#[derive(Debug, Default)]
pub struct Tinychat {
    ears: Ears<SocketIo>,
    segment: usize,
}

#[async_trait]
impl Dialect for Tinychat {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        self.ears.open(me.knocks("/socket.io", "/tinychat").await?);
        self.segment = me.next_segment();
        Ok(())
    }

    fn note(&mut self, me: &mut Me) {
        let news = self.ears.news();
        for heard in news.iter().filter(|heard| heard.event == "broadcast:message") {
            let told = Told::of(&heard.data, "id", "content");
            me.heard(How::Live, What::Posted, self.segment, told);
        }
    }

    fn end(&self) -> Option<String> {
        self.ears.end()
    }

    async fn send(&mut self, _: &mut Me, _: &Sent) -> Answer {
        Answer::Open("000 posts by REST".to_owned())
    }

    fn close(&mut self, politely: bool) {
        self.ears.close(politely);
    }
}
