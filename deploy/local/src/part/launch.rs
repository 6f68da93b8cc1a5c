//! How a program is started: it dies when we die, and our Ctrl-C does not reach it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A program with its arguments and settings; can be started again and again.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    directory: Option<PathBuf>,
    in_foreground: bool,
}

impl Launch {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            in_foreground: false,
        }
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn envs(mut self, env: &[(String, String)]) -> Self {
        self.env.extend(env.iter().map(|(name, value)| (name.clone(), value.into())));
        self
    }

    pub(crate) fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// It shares our terminal, keyboard signals included, instead of being a part.
    pub(crate) fn in_foreground(mut self) -> Self {
        self.in_foreground = true;
        self
    }

    /// Ready to spawn. `setpriv` asks the kernel to kill the child when the thread that spawned
    /// it ends; doing so ourselves would take unsafe code.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", if self.in_foreground { "TERM" } else { "KILL" }, "--"]);
        command.arg(&self.program).args(&self.args).envs(self.env.iter().cloned());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if !self.in_foreground {
            command.env("PATH", path_with_sbin());
            // A group of its own: Ctrl-C goes to us alone, and we stop the parts in order.
            command.process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command
    }
}

/// Debian keeps server programs in /usr/sbin, which is not on everybody's PATH.
pub(crate) fn path_with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}
