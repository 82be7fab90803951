//! `landfall completions`: completion scripts of shells.

use clap::Args;
use clap_complete::Shell;
use world::Fault;

use crate::output::print;

/// Print the completion script of a shell
#[derive(Debug, Args)]
pub struct Command {
    /// Shell of the script
    shell: Shell,
}

impl Command {
    /// Prints the completion script of `landfall`, whose arguments are those of `cli`.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn run(self, mut cli: clap::Command) -> Result<(), Fault> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, "landfall", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
