//! One example of each command, for the end of its `--help`.

use clap::Command;

/// Path and example of each command. An empty path is `landfall` itself.
const EXAMPLES: &[(&str, &str)] = &[];

/// Adds its example to each command.
pub fn add(command: Command) -> Command {
    add_below(command, "")
}

fn add_below(command: Command, path: &str) -> Command {
    let command = match EXAMPLES.iter().find(|(of, _)| *of == path) {
        Some((_, example)) => {
            let before = command.get_after_help().map(|help| format!("{help}\n\n")).unwrap_or_default();
            command.after_help(format!("{before}Example: {example}"))
        }
        None => command,
    };
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        add_below(below, path.trim_start())
    })
}
