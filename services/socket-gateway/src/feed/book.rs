//! Who is in one place, as this gateway knows it. Events change it and are news once; a
//! comparison with Redis mends what events were lost.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use chat_core::Username;

use crate::presence::{Listed, Present, weight};

/// Somebody who came or went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Who, within the place.
    pub(super) field: String,
    /// The name that others see.
    pub(super) name: Username,
    /// Are they here now?
    pub(super) is_here: bool,
    /// When they came, if that is known.
    pub(super) came: Option<Instant>,
    /// Who listened by then knows that they are here: they left and came back unheard.
    pub(super) known: Option<Instant>,
}

impl Turn {
    fn came(Present { field, name, came }: Present) -> Self {
        Self { field, name, is_here: true, came, known: None }
    }
}

/// An event that is news.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entrance {
    /// The name to tell.
    pub(super) name: Username,
    /// Who listened by then knows already.
    pub(super) known: Option<Instant>,
    /// Who listened by then must know.
    pub(super) came: Instant,
}

/// An event and a comparison may differ by so much on when somebody came.
const BLUR: Duration = Duration::from_secs(1);

/// A member.
#[derive(Debug)]
struct Known {
    /// The name that they were told of by.
    name: Username,
    /// When they came, or later.
    since: Instant,
}

impl Known {
    /// They are said to have come later than is known: if they had left before that, since when
    /// they had been known. Who is here did not come later than that, whatever others thought.
    fn returns(
        &mut self,
        came: Instant,
        here_since: impl Fn() -> Option<Instant>,
    ) -> Option<Instant> {
        let last = self.since + BLUR;
        if came <= last {
            return None;
        }
        let came = here_since().map_or(came, |since| since.min(came));
        (came > last).then(|| std::mem::replace(&mut self.since, came))
    }
}

/// What a comparison found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// This was the first, and no event has told of those found: most were there before anybody
    /// here listened, but not those who came later and whose event was lost.
    Loaded(Vec<Turn>),
    /// What no event has told.
    Mended(Vec<Turn>),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Not compared yet.
    #[default]
    Empty,
    /// Compared once; an event that was published before that may be still under way.
    Fresh,
    /// All who are there are known.
    Settled,
}

/// About 120 bytes for each member.
#[derive(Debug, Default)]
pub(super) struct Book {
    present: HashMap<String, Known>,
    /// The sum of the members' weights.
    digest: u64,
    stage: Stage,
    /// The last event of each member, until the book is settled.
    heard: HashMap<String, bool>,
    /// What the last comparison said otherwise. An event may be under way that explains it, so
    /// only what is found twice in a row counts.
    doubts: HashSet<(String, bool)>,
    /// Somebody may have left and come back unheard: the digest does not show it.
    is_suspect: bool,
}

impl Book {
    /// Takes the event of somebody who came. `None`: it is no news to anybody.
    pub(super) fn enters(
        &mut self,
        field: &str,
        name: &Username,
        came: Instant,
        here_since: impl Fn(&str) -> Option<Instant>,
    ) -> Option<Entrance> {
        if let Some(name) = self.note(field, name, Some(came)) {
            return Some(Entrance { name, known: None, came });
        }
        // Said again; or they had left, and that was lost.
        let known = self.present.get_mut(field)?;
        let before = known.returns(came, || here_since(field))?;
        Some(Entrance { name: known.name.clone(), known: Some(before), came: known.since })
    }

    /// Takes the event of somebody who left. Answers the name to tell if it is news.
    pub(super) fn leaves(&mut self, field: &str, name: &Username) -> Option<Username> {
        self.note(field, name, None)
    }

    /// Answers the name to tell if it is news: until the book is settled every event is, unless it
    /// repeats the one before.
    fn note(&mut self, field: &str, name: &Username, came: Option<Instant>) -> Option<Username> {
        let is_here = came.is_some();
        self.doubts.remove(&(field.to_owned(), true));
        self.doubts.remove(&(field.to_owned(), false));
        let is_news = match self.stage {
            Stage::Settled => self.present.contains_key(field) != is_here,
            Stage::Empty | Stage::Fresh => {
                self.heard.insert(field.to_owned(), is_here) != Some(is_here)
            }
        };
        let name = self.set(field, name, came);
        is_news.then_some(name)
    }

    /// Takes word that somebody who was there may have left. A book that is not settled may not
    /// have known that they were: from now on a comparison decides whether they still are.
    pub(super) fn suspect(&mut self, field: &str, name: &Username) {
        if self.stage != Stage::Settled && !self.heard.contains_key(field) {
            self.set(field, name, Some(Instant::now()));
        }
    }

    /// Answers the name under which the member was told of.
    fn set(&mut self, field: &str, name: &Username, came: Option<Instant>) -> Username {
        if let Some(since) = came {
            if let Some(known) = self.present.get(field) {
                return known.name.clone();
            }
            self.present.insert(field.to_owned(), Known { name: name.clone(), since });
            self.digest += weight(field);
            return name.clone();
        }
        let Some(known) = self.present.remove(field) else { return name.clone() };
        self.digest -= weight(field);
        known.name
    }

    /// Somebody may have left and come back unheard: the members must be read.
    pub(super) const fn suspect_all(&mut self) {
        self.is_suspect = true;
    }

    /// Must it be looked at again soon?
    pub(super) fn is_doubtful(&self) -> bool {
        self.stage != Stage::Settled || !self.doubts.is_empty() || self.is_suspect
    }

    /// Does Redis's digest say the same, and is that enough? If not, the members are read next.
    pub(super) fn agrees(&mut self, digest: u64) -> bool {
        let is_suspect = std::mem::take(&mut self.is_suspect);
        if self.stage == Stage::Empty || is_suspect || self.digest != digest {
            return false;
        }
        self.settle();
        self.doubts.clear();
        true
    }

    fn settle(&mut self) {
        self.stage = Stage::Settled;
        self.heard = HashMap::new();
    }

    /// Compares with those whom Redis lists. Who is here, by `here_since`, is not gone, nor is
    /// anybody while `gone_counts` is false.
    pub(super) fn compare(
        &mut self,
        listed: Listed,
        gone_counts: bool,
        here_since: impl Fn(&str) -> Option<Instant>,
    ) -> Compared {
        if self.stage == Stage::Empty {
            self.stage = Stage::Fresh;
            let unheard = listed.into_iter().filter(|one| !self.heard.contains_key(&one.field));
            let turns: Vec<_> = unheard.map(Turn::came).collect();
            for turn in &turns {
                self.set(&turn.field, &turn.name, Some(turn.came.unwrap_or_else(Instant::now)));
                // Whoever must hear of it does now: an event under way is no news.
                if turn.came.is_some() {
                    self.heard.insert(turn.field.clone(), true);
                }
            }
            return Compared::Loaded(turns);
        }
        self.settle();
        let there: HashSet<_> = listed.iter().map(|one| one.field.as_str()).collect();
        let gone = self.present.iter().filter(|(field, _)| {
            gone_counts && !there.contains(field.as_str()) && here_since(field).is_none()
        });
        let gone = gone.map(|(field, known)| (field.clone(), known.name.clone()));
        let gone =
            gone.map(|(field, name)| Turn { field, name, is_here: false, came: None, known: None });
        let mut turns: Vec<_> = gone.collect();
        let mut returned = Vec::new();
        for one in listed {
            match (self.present.get_mut(&one.field), one.came) {
                (None, _) => turns.push(Turn::came(one)),
                (Some(known), Some(came)) => {
                    if let Some(before) = known.returns(came, || here_since(&one.field)) {
                        let came = Some(known.since);
                        returned.push(Turn { known: Some(before), came, ..Turn::came(one) });
                    }
                }
                (Some(_), None) => {}
            }
        }
        let doubts = std::mem::take(&mut self.doubts);
        let (mut sure, doubtful): (Vec<_>, Vec<_>) = turns
            .into_iter()
            .partition(|turn| doubts.contains(&(turn.field.clone(), turn.is_here)));
        self.doubts = doubtful.into_iter().map(|turn| (turn.field, turn.is_here)).collect();
        for turn in &sure {
            let came = turn.is_here.then(|| turn.came.unwrap_or_else(Instant::now));
            self.set(&turn.field, &turn.name, came);
        }
        sure.extend(returned);
        Compared::Mended(sure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &str) -> Username {
        Username::parse(raw).expect("a name")
    }

    fn listed(names: &[&str]) -> Listed {
        let present = |raw: &&str| Present { field: (*raw).into(), name: name(raw), came: None };
        names.iter().map(present).collect()
    }

    fn note(book: &mut Book, raw: &str, is_here: bool) -> bool {
        if is_here {
            book.enters(raw, &name(raw), Instant::now(), |_| None).is_some()
        } else {
            book.leaves(raw, &name(raw)).is_some()
        }
    }

    fn mended(book: &mut Book, there: &[&str], gone_counts: bool) -> Vec<(String, bool)> {
        match book.compare(listed(there), gone_counts, |_| None) {
            Compared::Mended(turns) => {
                turns.into_iter().map(|turn| (turn.field, turn.is_here)).collect()
            }
            Compared::Loaded(_) => panic!("it was loaded"),
        }
    }

    fn loaded(book: &mut Book, listed: Listed) -> Vec<String> {
        match book.compare(listed, true, |_| None) {
            Compared::Loaded(turns) => turns.into_iter().map(|turn| turn.field).collect(),
            Compared::Mended(_) => panic!("it had been loaded"),
        }
    }

    /// A settled book.
    fn book(there: &[&str]) -> Book {
        let mut book = Book::default();
        assert!(matches!(book.compare(listed(there), true, |_| None), Compared::Loaded(_)));
        let digest = there.iter().map(|raw| weight(raw)).sum();
        assert!(book.agrees(digest));
        book
    }

    #[test]
    fn an_event_is_news_once_however_often_it_is_repeated() {
        let mut book = book(&["alice"]);
        assert!(!note(&mut book, "alice", true));
        assert!(note(&mut book, "bob", true) && !note(&mut book, "bob", true));
        assert!(note(&mut book, "bob", false) && !note(&mut book, "bob", false));
    }

    #[test]
    fn what_is_lost_is_mended_when_found_twice_and_not_told_again() {
        let mut book = book(&["alice", "bob"]);
        assert_eq!(mended(&mut book, &["alice", "carol"], true), []);
        assert!(book.is_doubtful());
        let told = mended(&mut book, &["alice", "carol"], true);
        assert_eq!(told, [("bob".to_owned(), false), ("carol".to_owned(), true)]);
        assert!(!note(&mut book, "bob", false) && !note(&mut book, "carol", true));
        assert!(book.agrees(weight("alice") + weight("carol")) && !book.is_doubtful());
    }

    #[test]
    fn an_event_between_two_comparisons_explains_a_difference() {
        let mut book = book(&["alice"]);
        assert_eq!(mended(&mut book, &[], true), []);
        assert!(note(&mut book, "alice", false) && note(&mut book, "alice", true));
        assert_eq!(mended(&mut book, &[], true), []);
    }

    #[test]
    fn nobody_is_gone_because_redis_was_emptied() {
        let mut book = book(&["alice"]);
        for _ in 0..3 {
            assert_eq!(mended(&mut book, &[], false), []);
        }
        assert!(!note(&mut book, "alice", true));
        assert!(!book.agrees(0) && book.agrees(weight("alice")));
    }

    #[test]
    fn while_a_book_is_being_filled_no_event_is_lost_or_doubled() {
        let mut book = Book::default();
        assert!(note(&mut book, "bob", false));
        // The answer is older than the first event, and younger than the two that follow.
        assert_eq!(loaded(&mut book, listed(&["bob", "carol"])), ["carol"]);
        assert!(note(&mut book, "carol", true) && note(&mut book, "dave", false));
        assert!(!note(&mut book, "carol", true) && !note(&mut book, "bob", false));
        assert!(book.agrees(weight("carol")));
        assert!(!note(&mut book, "carol", true));
    }

    #[test]
    fn whoever_a_first_comparison_tells_of_is_not_told_again_by_an_event_under_way() {
        let mut book = Book::default();
        let mut found = listed(&["alice", "bob"]);
        found[1].came = Some(Instant::now());
        assert_eq!(loaded(&mut book, found), ["alice", "bob"]);
        // Nobody knows when Alice came, so nobody was told.
        assert!(note(&mut book, "alice", true) && !note(&mut book, "bob", true));
        assert!(note(&mut book, "bob", false) && note(&mut book, "bob", true));
        assert!(book.agrees(weight("alice") + weight("bob")));
        assert!(!note(&mut book, "bob", true) && note(&mut book, "bob", false));
    }

    #[test]
    fn who_may_have_left_before_a_book_was_filled_is_told_if_so() {
        let mut book = Book::default();
        assert!(note(&mut book, "alice", true) && note(&mut book, "dave", false));
        for suspect in ["alice", "bob", "carol", "dave"] {
            book.suspect(suspect, &name(suspect));
        }
        let listed_now = ["alice", "bob"];
        assert_eq!(loaded(&mut book, listed(&listed_now)), ["bob"]);
        assert_eq!(mended(&mut book, &listed_now, true), []);
        assert_eq!(mended(&mut book, &listed_now, true), [("carol".to_owned(), false)]);
        assert!(book.agrees(weight("alice") + weight("bob")));
        book.suspect("eve", &name("eve"));
        assert!(book.agrees(weight("alice") + weight("bob")), "whoever was there is known");
    }

    #[test]
    fn the_name_that_leaves_is_the_name_that_came() {
        let mut book = book(&[]);
        book.enters("alice", &name("Alice"), Instant::now(), |_| None);
        assert_eq!(book.leaves("alice", &name("alice")), Some(name("Alice")));
    }

    #[test]
    fn who_came_back_unheard_is_told_to_those_who_listened_only_then() {
        let mut book = book(&[]);
        let came = |seconds| Instant::now() + Duration::from_secs(seconds);
        let [first, second, third] = [1, 10, 20].map(came);
        let enters = |book: &mut Book, raw, came, here_since: Option<Instant>| {
            let entrance = book.enters("alice", &name(raw), came, |_| here_since)?;
            assert_eq!(entrance.name, name("alice"), "as before");
            Some((entrance.known, entrance.came))
        };
        assert_eq!(enters(&mut book, "alice", first, None), Some((None, first)));
        assert_eq!(enters(&mut book, "Alice", first + BLUR, None), None, "said again");
        assert_eq!(enters(&mut book, "Alice", second, Some(first)), None, "she never left here");
        let returned = Some((Some(first), second));
        assert_eq!(enters(&mut book, "Alice", second, None), returned);
        let mut present = listed(&["alice"]);
        present[0].came = Some(second);
        assert_eq!(book.compare(present.clone(), true, |_| None), Compared::Mended(Vec::new()));
        present[0].came = Some(third);
        let here = book.compare(present.clone(), true, |_| Some(second));
        assert_eq!(here, Compared::Mended(Vec::new()), "she never left here");
        book.suspect_all();
        assert!(book.is_doubtful() && !book.agrees(weight("alice")), "the digest is not enough");
        let Compared::Mended(turns) = book.compare(present.clone(), true, |_| None) else {
            panic!("it was loaded");
        };
        assert_eq!(turns, [Turn { known: Some(second), ..Turn::came(present.remove(0)) }]);
        assert!(!book.is_doubtful() && book.agrees(weight("alice")));
    }
}
