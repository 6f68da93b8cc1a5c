//! The real program when it is told to do something else than serve: `--migrate`, `--health`.

use std::process::Command;

use crate::{process::Program, support::World};

fn migrate(database_url: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_message-api"));
    command.arg("--migrate").env_clear().env("DATABASE_URL", database_url);
    let output = command.output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn migrate_needs_the_database_only_and_may_be_repeated() {
    let world = World::empty();
    for _ in 0..2 {
        let (code, said, _) = migrate(world.database_url().as_str());
        let sentence = "message-api: the database is up to date\n";
        assert_eq!((code, said.as_str()), (Some(0), sentence));
    }
}

#[test]
fn migrate_names_what_is_wrong() {
    let world = World::empty();
    let url = world.database_url();
    let stranger = url.as_str().replacen("mysql://", "mysql://nobody-of-ours:x", 1);
    for (url, expected) in [("mysql://localhost", 2), (stranger.as_str(), 1)] {
        let (code, _, refusal) = migrate(url);
        assert!(code == Some(expected) && refusal.contains("DATABASE_URL"), "{code:?} {refusal}");
    }
}

#[test]
fn health_is_asked_by_the_program_itself() {
    let world = World::empty();
    let program = Program::start(&world);
    let ask = |url: Option<String>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_message-api"));
        command.arg("--health").args(url).env_clear().env("ADMIN_ADDR", &program.admin);
        command.output().expect("runs").status.code()
    };
    assert_eq!(ask(None), Some(0));
    assert_eq!(ask(Some(format!("http://{}/readyz", program.admin))), Some(0));
    assert_eq!(ask(Some(format!("http://{}/nowhere", program.http))), Some(1));
}
