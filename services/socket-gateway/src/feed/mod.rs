//! Hop 9 of 10: who here follows what. From `subscriber.rs`; next `dialects/<protocol>/render.rs`.
//!
//! | file | what it does |
//! |---|---|
//! | [`hub`] | one followed conversation: order kept, holes noticed |
//! | [`crowd`] | listeners, and events rendered once for each protocol |
//! | [`inbox`] | all directs of one user, as one stream |
//! | [`repair`] | what is missing is asked for |
//! | [`returns`] | the bus is back: what it lost meanwhile is made good |
//! | [`notices`] | what belongs to no conversation, told once |
//! | [`online`] | the roster: who is online anywhere |
//! | [`rosters`] | who is in the rooms followed here; all rosters compared with Redis |
//! | [`book`] | who is in one place, whatever the bus does |

mod book;
mod crowd;
#[cfg(test)]
mod guard;
mod hub;
mod inbox;
mod notices;
mod online;
mod repair;
mod returns;
mod rosters;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Caller, Chat, ChatError, ConversationId, Event, Feed, Fleeting, Follow, Listener, Notice,
    Result, Roster, Seq, Session, Sink, SocketKey, Topic, User, UserId, Username,
    chat::CHANGES_MAX, process::Shutdown,
};

use tokio::{sync::Semaphore, time::Instant};

use self::{
    book::Book,
    crowd::Rendered,
    hub::{Hub, Outcome},
    inbox::Inbox,
    notices::Told,
    repair::{CALLS, Reason},
    returns::Returns,
    rosters::Rosters,
};
use crate::{
    guests::Guests,
    presence::Presence,
    sessions::Sessions,
    subscriber::{Hearer, Subscriber},
    whisper::Whisperer,
};

/// How long a first follower waits for Redis to confirm. After that the comparison of heads
/// stands in, until Redis is back.
const CONFIRM: Duration = Duration::from_secs(1);

/// The gateway's `Feed`.
pub struct GatewayFeed {
    chat: Arc<dyn Chat>,
    subscriber: Arc<Subscriber>,
    whisperer: Whisperer,
    presence: Presence,
    sessions: Arc<Sessions>,
    guests: Arc<Guests>,
    shutdown: Shutdown,
    next: AtomicU64,
    /// Calls for repair under way: a return must not flood message-api.
    calls: Semaphore,
    returns: Returns,
    told: Mutex<Told>,
    /// Repairs outlive the call that began them.
    me: Weak<Self>,
    hubs: Mutex<HashMap<ConversationId, (Arc<Hub>, usize)>>,
    inboxes: Mutex<HashMap<UserId, (Arc<Inbox>, usize)>>,
    crowds: Mutex<Crowds>,
    roster: Roster,
    rosters: Rosters,
}

/// Listeners that need no order: of a topic, or of one user's coming and going.
#[derive(Default)]
struct Crowds {
    of_topic: HashMap<Topic, HashMap<u64, Listener>>,
    of_user: HashMap<UserId, HashMap<u64, Listener>>,
    /// What the roster has from events and comparisons.
    online: Book,
}

impl GatewayFeed {
    /// Nobody follows anything yet.
    pub fn new(
        chat: Arc<dyn Chat>,
        subscriber: Arc<Subscriber>,
        whisperer: Whisperer,
        presence: Presence,
        sessions: Arc<Sessions>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        // Ended sessions and the roster concern every gateway, so these are always followed.
        subscriber.want(Topic::Everyone);
        subscriber.want(Topic::Online);
        let feed = Arc::new_cyclic(|me| Self {
            chat,
            subscriber,
            whisperer,
            presence,
            sessions,
            guests: Arc::default(),
            shutdown,
            next: AtomicU64::new(1),
            calls: Semaphore::new(CALLS),
            returns: Returns::default(),
            told: Mutex::default(),
            me: Weak::clone(me),
            hubs: Mutex::default(),
            inboxes: Mutex::default(),
            crowds: Mutex::default(),
            roster: Roster::default(),
            rosters: Rosters::default(),
        });
        let guests = Arc::clone(&feed.guests).run(Arc::clone(&feed.chat));
        feed.shutdown.spawn_until_stopped(guests);
        feed.shutdown.spawn_until_stopped(Arc::clone(&feed).compare_heads_now_and_then());
        feed.shutdown.spawn_until_stopped(Arc::clone(&feed).look_at_directs_now_and_then());
        feed.shutdown.spawn_until_stopped(Arc::clone(&feed).make_good_after_returns());
        feed
    }

    fn hubs(&self) -> MutexGuard<'_, HashMap<ConversationId, (Arc<Hub>, usize)>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn crowds(&self) -> MutexGuard<'_, Crowds> {
        self.crowds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inboxes(&self) -> MutexGuard<'_, HashMap<UserId, (Arc<Inbox>, usize)>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more use of a user's inbox, until the [`Follow`] is dropped.
    fn hold_inbox(self: &Arc<Self>, user: &User, number: u64) -> (Arc<Inbox>, Follow) {
        let inbox = {
            let mut inboxes = self.inboxes();
            let (inbox, uses) =
                inboxes.entry(user.id).or_insert_with(|| (Arc::new(Inbox::new(user)), 0));
            *uses += 1;
            Arc::clone(inbox)
        };
        self.subscriber.want(Topic::User(user.id));
        let (feed, user) = (Arc::clone(self), user.id);
        let follow = Follow::new(move || {
            feed.subscriber.unwant(Topic::User(user));
            let mut inboxes = feed.inboxes();
            if let Some((inbox, uses)) = inboxes.get_mut(&user) {
                inbox.leave(number);
                *uses -= 1;
                if *uses == 0 {
                    inbox.retire();
                    inboxes.remove(&user);
                }
            }
        });
        (inbox, follow)
    }

    /// Tells those who listen to a topic.
    fn tell_crowd(&self, topic: Topic, event: &Event) {
        let mut rendered = Rendered::new(event);
        for listener in self.crowds().of_topic.get(&topic).into_iter().flat_map(HashMap::values) {
            rendered.tell(listener);
        }
    }

    fn hub(&self, conversation: ConversationId) -> Option<Arc<Hub>> {
        self.hubs().get(&conversation).map(|(hub, _)| Arc::clone(hub))
    }

    /// One more use of a conversation's hub, until the [`Follow`] is dropped.
    fn hold_hub(self: &Arc<Self>, conversation: ConversationId, number: u64) -> (Arc<Hub>, Follow) {
        let hub = {
            let mut hubs = self.hubs();
            let (hub, uses) =
                hubs.entry(conversation).or_insert_with(|| (Arc::new(Hub::new(conversation)), 0));
            *uses += 1;
            Arc::clone(hub)
        };
        self.subscriber.want(Topic::Conversation(conversation));
        let feed = Arc::clone(self);
        let follow = Follow::new(move || {
            feed.subscriber.unwant(Topic::Conversation(conversation));
            let mut hubs = feed.hubs();
            if let Some((hub, uses)) = hubs.get_mut(&conversation) {
                hub.leave(number);
                *uses -= 1;
                if *uses == 0 {
                    hub.retire();
                    hubs.remove(&conversation);
                }
            }
        });
        (hub, follow)
    }
}

/// Removes a listener, and its crowd when it was the last.
fn forget<K: Eq + Hash>(crowds: &mut HashMap<K, HashMap<u64, Listener>>, key: &K, number: u64) {
    if let Some(crowd) = crowds.get_mut(key) {
        crowd.remove(&number);
        if crowd.is_empty() {
            crowds.remove(key);
        }
    }
}

#[async_trait]
impl Hearer for GatewayFeed {
    fn hear(&self, topic: Topic, event: Event) {
        if let Event::Notice(notice) = &event
            && !self.is_news(notice)
        {
            return;
        }
        if let Event::Notice(Notice::SessionEnded(session)) = &event {
            self.sessions.end(session);
        }
        if let Event::Notice(Notice::UserRegistered(user)) = &event {
            self.guests.registered(&user.name);
        }
        match (topic, event) {
            (Topic::Conversation(id), Event::Change(change)) => {
                let Some(hub) = self.hub(id) else { return };
                if let Outcome::Missing(_) = hub.offer(change) {
                    self.repair_soon(&hub, Reason::Hole);
                }
            }
            (Topic::Conversation(id), event) => self.hear_in_room(id, event),
            (Topic::User(user), Event::Change(change)) => {
                let inbox = self.inboxes().get(&user).map(|(inbox, _)| Arc::clone(inbox));
                if let Some(hub) = inbox.and_then(|inbox| inbox.offer(change)) {
                    self.repair_soon(&hub, Reason::Hole);
                }
            }
            (Topic::Online, Event::Fleeting(event)) => {
                self.note_presence(&mut self.crowds(), event)
            }
            (topic, event) => self.tell_crowd(topic, &event),
        }
    }

    async fn back(&self, deaf_since: Option<Instant>) {
        self.suspect_rosters(deaf_since.map(Instant::into_std));
        self.sessions.compare_soon();
        self.guests.compare_soon();
        self.returns.note(deaf_since);
        self.returns.made_good().await;
    }
}

/// The port, with the handle that its follows keep.
#[derive(Clone)]
pub struct FeedHandle(pub Arc<GatewayFeed>);

#[async_trait]
impl Feed for FeedHandle {
    async fn follow(
        &self,
        conversation: ConversationId,
        after: Option<Seq>,
        listener: Listener,
    ) -> Result<Follow> {
        let feed = &self.0;
        let number = feed.next.fetch_add(1, Ordering::Relaxed);
        let (hub, follow) = feed.hold_hub(conversation, number);
        let topic = Topic::Conversation(conversation);
        let was_heard = feed.subscriber.is_heard(topic, Duration::ZERO).await;
        let mut heard = match after {
            Some(after) => after,
            None => feed.newest(&hub).await?,
        };
        while let Outcome::Missing(since) = hub.join(number, listener.clone(), heard) {
            let page = feed.chat.changes(conversation, since, CHANGES_MAX).await?;
            if page.is_empty() {
                return Err(ChatError::internal("changes that were there are gone", conversation));
            }
            for change in page {
                heard = change.seq;
                Rendered::new(&Event::Change(change)).tell(&listener);
            }
        }
        if !was_heard {
            feed.subscriber.is_heard(topic, CONFIRM).await;
            // What was published between the history and the confirmation was not heard.
            feed.catch_up(&hub).await;
        } else if hub.outcome() != Outcome::Done {
            feed.repair_soon(&hub, Reason::Join);
        }
        Ok(follow)
    }

    async fn follow_directs(&self, user: &User, listener: Listener) -> Result<Follow> {
        let feed = &self.0;
        let number = feed.next.fetch_add(1, Ordering::Relaxed);
        let (inbox, follow) = feed.hold_inbox(user, number);
        // Without Redis the look now and then stands in.
        feed.subscriber.is_heard(Topic::User(user.id), CONFIRM).await;
        feed.look_at_directs(&inbox, Reason::Join).await?;
        inbox.join(number, listener);
        Ok(follow)
    }

    async fn listen(&self, topic: Topic, listener: Listener) -> Result<Follow> {
        let feed = Arc::clone(&self.0);
        let number = feed.next.fetch_add(1, Ordering::Relaxed);
        feed.crowds().of_topic.entry(topic).or_default().insert(number, listener);
        feed.subscriber.want(topic);
        Ok(Follow::new(move || {
            feed.subscriber.unwant(topic);
            forget(&mut feed.crowds().of_topic, &topic, number);
        }))
    }

    fn bind(&self, session: &Session, socket: SocketKey, sink: Arc<dyn Sink>) -> Follow {
        let (feed, user) = (Arc::clone(&self.0), session.user.clone());
        let bound = self.0.sessions.bind(&session.id, sink);
        feed.presence.connect(&user, socket);
        Follow::new(move || {
            feed.presence.disconnect(&user, socket, &feed.shutdown);
            drop(bound);
        })
    }

    fn wear(&self, name: &Username, sink: Arc<dyn Sink>) -> Follow {
        self.0.guests.wear(name, sink)
    }

    fn roster(&self) -> &Roster {
        &self.0.roster
    }

    fn watch(&self, user: &User, listener: Listener) -> Follow {
        let feed = Arc::clone(&self.0);
        let number = feed.next.fetch_add(1, Ordering::Relaxed);
        {
            // Under the lock no change comes between the answer and the first event.
            let mut crowds = feed.crowds();
            if feed.roster.is_online(user.id) {
                Rendered::new(&Event::Fleeting(Fleeting::Online(user.clone()))).tell(&listener);
            }
            crowds.of_user.entry(user.id).or_default().insert(number, listener);
        }
        let user = user.id;
        Follow::new(move || forget(&mut feed.crowds().of_user, &user, number))
    }

    fn whisper(&self, topic: Topic, event: Fleeting) {
        self.0.whisperer.whisper(topic, event);
    }

    fn attend(&self, conversation: ConversationId) -> Follow {
        let feed = Arc::clone(&self.0);
        feed.rosters.open(conversation);
        Follow::new(move || feed.rosters.close(conversation))
    }

    fn enter(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.0.presence.enter(conversation, who, socket);
    }

    fn leave(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.0.presence.leave(conversation, who, socket);
    }
}
