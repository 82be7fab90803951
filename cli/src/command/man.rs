//! `landfall man`: manual pages.

use std::path::PathBuf;

use clap::Args;
use world::Fault;

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
pub struct Command {
    /// Folder of the pages, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Command {
    /// Writes the manual pages of `landfall`, whose arguments are those of `cli`.
    ///
    /// # Errors
    /// The folder cannot be created or written.
    pub fn run(self, cli: clap::Command) -> Result<(), Fault> {
        let written =
            std::fs::create_dir_all(&self.folder).and_then(|()| clap_mangen::generate_to(cli, &self.folder));
        written.map_err(|why| {
            Fault::caused_by(
                why,
                format!("cannot write the manual pages to {}", self.folder.display()),
                "choose a folder that you can write to",
            )
        })
    }
}
