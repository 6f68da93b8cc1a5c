//! The chaos suite: faults drawn from a seed, clients that behave like real ones, exact books.
//!
//! | module | what it holds |
//! |---|---|
//! | [`schedule`] | which fault hits what, when and how long: drawn from the seed alone |
//! | [`faults`] | carries the schedule out, writes down what was done when, heals everything |
//! | [`clients`] | one file for each protocol: sends, retries, reconnects, catches up |
//! | [`books`] | what the clients write down: every send, every receipt, every connection |
//! | [`health`] | samples of every replica's readiness, and of the gateways' repairs |
//! | [`audit`] | compares the books with what is stored, and with each other |
//! | [`report`] | the table of sums, and what exactly is wrong |
//! | [`world`] | one seed from its stack to its report |

pub mod audit;
pub mod books;
pub mod clients;
pub mod faults;
pub mod health;
pub mod report;
pub mod schedule;
pub mod world;

pub use world::{Plan, run};
