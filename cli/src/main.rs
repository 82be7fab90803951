//! The `landfall` binary.

use std::{ffi::OsString, io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::{
    command::{self, examples},
    exit_status::ExitStatus,
    faults::is_killed,
    output::{LogOutput, is_broken_pipe, print_error, remark},
    settings::{Setting, Settings},
};
use world::Fault;

/// The version, with the commit in a release build of a git checkout.
const VERSION: &str = env!("LANDFALL_VERSION");

/// Position of an option in the help after all others.
const LAST: usize = 999;

/// GSMA eSIM remote provisioning test system, with test keys only
#[derive(Debug, Parser)]
#[command(name = "landfall", version = VERSION, propagate_version = true, after_help = ExitStatus::help())]
struct Cli {
    /// Data folder for keys, records and cards
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings", display_order = LAST)]
    data_dir: Option<PathBuf>,
    /// Settings, used after flags and LANDFALL_* [default: landfall.toml in data folder]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings", display_order = LAST)]
    config: Option<PathBuf>,
    /// Print the result or the error as one JSON document on standard output
    #[arg(long, global = true, display_order = LAST)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(command::demo::Command),
    Up(command::up::Command),
    #[command(subcommand)]
    Certs(command::certs::Command),
    #[command(subcommand)]
    SmDp(command::sm_dp::Command),
    #[command(subcommand)]
    SmDs(command::sm_ds::Command),
    SmSr(command::sm_sr::Command),
    #[command(subcommand)]
    Eim(command::eim::Command),
    Eum(command::eum::Command),
    Euicc(command::euicc::Command),
    Operator(command::operator::Command),
    Device(command::device::Command),
    Network(command::network::Command),
    #[command(subcommand)]
    Profile(command::profile::Command),
    #[command(subcommand)]
    Records(command::records::Command),
    Trace(command::trace::Command),
    Explain(command::explain::Command),
    #[command(subcommand)]
    Load(command::load::Command),
    #[command(subcommand)]
    Localize(command::localize::Command),
    Faults(command::faults::Command),
    Run(command::run::Command),
    Replay(command::replay::Command),
    #[command(subcommand, args = Setting::global_flags(&[Setting::Records]))]
    Fleet(command::fleet::Command),
    #[command(subcommand)]
    Check(command::check::Command),
    Completions(command::completions::Command),
    Man(command::man::Command),
}

fn main() -> ExitCode {
    let (cli, matches) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() && is_json_requested() => {
            return report(&invalid_arguments(&error), true);
        }
        Err(error) => error.exit(),
    };
    let json = cli.json;
    // Default log level: internal faults of the servers. Exchanges between the parties are
    // reported as events instead. A scenario injects faults on purpose, so nothing is logged there.
    let default_level =
        if matches!(cli.command, Command::Run(_) | Command::Replay(_)) { "off" } else { "warn" };
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("LANDFALL_LOG").unwrap_or_else(|_| default_level.into());
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(|| LogOutput(std::io::stderr()))
        .init();
    match run(cli, &matches) {
        Ok(code) => code,
        Err(fault) => report(&fault, json),
    }
}

/// Parses the arguments. The matches have the flags of [`cli::settings::Setting`].
fn parse<T: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
) -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = named_landfall(definition()).try_get_matches_from(arguments)?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}

/// Returns the definition of the command line, with an example of each command.
fn definition() -> clap::Command {
    examples::add(Cli::command())
}

/// Names the program, and not `landfall-sm-dp`, in `landfall sm-dp --version`.
fn named_landfall(command: clap::Command) -> clap::Command {
    command.display_name("landfall").mut_subcommands(named_landfall)
}

/// Prints an error. Returns the exit status of its kind.
fn report(fault: &Fault, json: bool) -> ExitCode {
    if is_broken_pipe(fault) {
        return ExitStatus::ClosedPipe.into();
    }
    if is_killed(fault) {
        remark(&format!("landfall: {fault:#}"));
        return ExitStatus::Killed.into();
    }
    print_error(fault, json);
    ExitStatus::from(fault.kind).into()
}

/// True if `--json` is among the arguments, whether or not they are valid.
fn is_json_requested() -> bool {
    std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// Converts an error of the parser of the arguments into a fault.
fn invalid_arguments(error: &clap::Error) -> Fault {
    let text = error.to_string();
    // The parser separates the error from usage and advice by an empty line.
    let why = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    Fault::usage("the arguments are invalid", why, "see `landfall COMMAND --help`")
}

fn wait_for<T>(command: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::caused_by(e, "cannot start", "free some memory or threads, and try again"))?
        .block_on(command)
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<ExitCode, Fault> {
    let settings = Settings::resolve(matches, cli.data_dir, cli.config.as_deref())?;
    match cli.command {
        Command::Demo(command) => wait_for(command.run(&settings, cli.json)),
        Command::Load(command) => wait_for(command.run(&settings, cli.json)),
        Command::Fleet(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Localize(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Faults(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Run(command) => command.run(cli.json),
        Command::Replay(command) => command.run(cli.json),
        Command::Profile(command) => wait_for(command.run(&settings, cli.json)),
        Command::Records(command) => wait_for(command.run(&settings, cli.json)),
        Command::Trace(command) => command.run(cli.json).map(|()| ExitCode::SUCCESS),
        Command::Explain(command) => command.run(cli.json).map(|()| ExitCode::SUCCESS),
        Command::Up(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Device(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Network(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Certs(command) => command.run(&settings, cli.json).map(|()| ExitCode::SUCCESS),
        Command::SmDp(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::SmDs(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::SmSr(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Eim(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Eum(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Euicc(command) => wait_for(command.run(&settings, cli.json)),
        Command::Check(command) => wait_for(command.run(&settings, cli.json)),
        Command::Operator(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Completions(command) => command.run(definition()).map(|()| ExitCode::SUCCESS),
        Command::Man(command) => command.run(definition()).map(|()| ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use cli::faults::FaultPoints;

    use super::*;

    /// Collects every flag below a command with a default address: the command, the flag and
    /// the address.
    fn places(command: &clap::Command, path: &str, all: &mut Vec<(String, String, String)>) {
        for argument in command.get_arguments() {
            let place = argument.get_default_values().iter().filter_map(|value| value.to_str());
            for place in place.filter(|value| value.contains("127.0.0.1")) {
                all.push((path.to_owned(), argument.get_id().to_string(), place.to_owned()));
            }
        }
        for below in command.get_subcommands() {
            places(below, &format!("{path} {}", below.get_name()), all);
        }
    }

    #[test]
    fn default_addresses_of_all_parties_differ_and_clients_use_them() {
        let mut all = Vec::new();
        places(&Cli::command(), "landfall", &mut all);
        let nothing = tempfile::NamedTempFile::new().unwrap();
        let settings = Settings::resolve(&ArgMatches::default(), None, Some(nothing.path())).unwrap();
        let Settings { sm_dp, sm_ds, card, network, admin, .. } = settings;
        let of_settings = [sm_dp, sm_ds, card, network, admin.unwrap()];
        let mut listening: BTreeMap<String, String> =
            of_settings.into_iter().map(|place| (place, "the settings".to_owned())).collect();
        assert_eq!(listening.len(), 5);
        // Servers of a check listen on any free port, and `up` runs the same eIM as `eim serve`.
        all.retain(|(command, _, place)| !place.ends_with(":0") && command != "landfall up");
        let (servers, clients): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, flag, _)| flag.starts_with("listen"));
        assert_eq!(servers.len(), 8, "{servers:?}");
        for (command, flag, place) in servers {
            let who = format!("{command}, {flag}");
            assert_eq!(
                listening.insert(place, who.clone()),
                None,
                "{who} uses the default address of another party"
            );
        }
        assert_eq!(clients.len(), 1, "{clients:?}");
        for (command, _, place) in clients {
            let (_, place) = place.rsplit_once('@').unwrap();
            assert_eq!(listening[place], "landfall sm-sr serve, listen", "{command}");
        }
    }

    /// Returns the paths of all commands, without those of `landfall help`.
    fn paths(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            paths(below, &[path, &[below.get_name().to_owned()]].concat(), all);
        }
    }

    fn all_paths() -> Vec<Vec<String>> {
        let mut all = Vec::new();
        paths(&definition(), &["landfall".to_owned()], &mut all);
        assert!(all.len() > 90, "{}", all.len());
        all
    }

    /// Splits a command line into words, as a shell does.
    fn words(line: &str) -> Vec<String> {
        let mut quoted = false;
        let mut words = vec![String::new()];
        for letter in line.replace("\\\n", " ").chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_help_of_every_command_fits_a_screen_and_ends_with_an_example() {
        let mut faults = Vec::new();
        for path in all_paths() {
            let command = named_landfall(definition()).term_width(100);
            let help = command.try_get_matches_from(path.iter().map(String::as_str).chain(["--help"]));
            let help = help.unwrap_err().to_string();
            // The parser wraps all text but the usage line.
            let lines: usize = help.trim_end().lines().map(|line| line.len().div_ceil(100).max(1)).sum();
            if lines > 48 {
                faults.push(format!("{path:?}: {lines} lines"));
            }
            match help.split_once("\nExample: ") {
                None => faults.push(format!("{path:?} has no example")),
                Some((_, example)) => {
                    let words = words(example.trim_end());
                    let same = path.len() == 1 || path.iter().all(|name| words.contains(name));
                    if let Err(error) = parse(&words).map_err(|error| error.to_string()) {
                        faults.push(format!("{path:?}: {error}"));
                    } else if !same {
                        faults.push(format!("{path:?} has the example of another command: {example}"));
                    }
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn every_command_prints_the_version_of_landfall() {
        for path in all_paths() {
            let (_, below) = path.split_first().unwrap();
            let arguments =
                ["landfall"].into_iter().chain(below.iter().map(String::as_str)).chain(["--version"]);
            let version = parse(arguments).map(|_| ()).unwrap_err().to_string();
            assert_eq!(version, format!("landfall {VERSION}\n"), "{path:?}");
        }
    }

    #[test]
    fn a_command_refuses_the_settings_that_it_does_not_use() {
        for (refused, used) in [
            ("explain 6A88 --seed x", "explain 6A88 --data-dir x"),
            ("network --network h:1", "network --listen h:1"),
            ("sm-ds serve --sm-dp h:1", "sm-ds serve --listen h:1"),
            ("fleet list --pki x", "fleet serve --pki x"),
            ("operator listen --sm-dp h:1", "operator release 89724990000000000019 --sm-dp h:1"),
        ] {
            let with = |line: &str| parse(["landfall"].into_iter().chain(line.split(' '))).map(|_| ());
            assert_eq!(
                with(refused).unwrap_err().kind(),
                clap::error::ErrorKind::UnknownArgument,
                "{refused}"
            );
            with(used).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Returns the arguments of this name of all commands, as `COMMAND: FORM`.
    fn forms(command: &clap::Command, path: &str, name: &str, all: &mut BTreeMap<String, Vec<bool>>) {
        for argument in command.get_arguments().filter(|one| one.get_id() == name) {
            all.entry(path.to_owned()).or_default().push(argument.is_positional());
        }
        for below in command.get_subcommands() {
            forms(below, &format!("{path} {}", below.get_name()), name, all);
        }
    }

    #[test]
    fn no_command_takes_an_identifier_as_a_flag_and_positionally() {
        let mut command = definition();
        command.build();
        for name in ["eid", "iccid"] {
            let mut all = BTreeMap::new();
            forms(&command, "landfall", name, &mut all);
            assert!(all.values().any(|forms| forms[0]), "{all:?}");
            assert!(all.values().all(|forms| forms.len() == 1), "{all:?}");
        }
    }

    /// Returns the commands below this one that have a flag.
    fn commands_with(command: &clap::Command, path: &str, flag: &str, all: &mut Vec<String>) {
        if command.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
            all.push(path.trim_start().to_owned());
        }
        for below in command.get_subcommands() {
            commands_with(below, &format!("{path} {}", below.get_name()), flag, all);
        }
    }

    #[test]
    fn every_server_has_the_flag_listen() {
        let mut all = Vec::new();
        commands_with(&definition(), "", "listen", &mut all);
        assert_eq!(
            all,
            [
                "sm-dp serve",
                "sm-ds serve",
                "sm-sr serve",
                "eim serve",
                "euicc serve",
                "operator listen",
                "operator m2m",
                "network",
                "faults serve",
                "fleet serve",
                "check ipa",
                "check device",
                "check card",
            ]
        );
    }

    /// Returns the subcommand with this name.
    fn subcommand<'c>(command: &'c clap::Command, name: &str) -> &'c clap::Command {
        name.split(' ').fold(command, |command, name| command.find_subcommand(name).unwrap())
    }

    /// Collects the names of the commands that can be run. A command with optional subcommands is
    /// one of them.
    fn runnable(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let path = format!("{path} {}", below.get_name());
            if !below.is_subcommand_required_set() {
                all.insert(path.trim_start().to_owned());
            }
            runnable(below, &path, all);
        }
    }

    #[test]
    fn every_command_has_a_json_schema() {
        let mut commands = BTreeSet::new();
        runnable(&Cli::command(), "", &mut commands);
        for without_json in ["completions", "man"] {
            assert!(commands.remove(without_json));
        }
        let outputs: BTreeSet<String> = command::outputs().map(|output| output.command.to_owned()).collect();
        assert_eq!(commands, outputs, "list the output in OUTPUTS of the file of the command");
    }

    #[test]
    fn the_commands_page_has_the_table_of_exit_statuses() {
        let page = include_str!("../../docs/commands.md");
        for status in ExitStatus::ALL {
            let kind = status.kind().map(|kind| serde_json::to_value(kind).unwrap());
            let kind = kind.as_ref().and_then(|kind| kind.as_str()).map(|kind| format!("`{kind}`"));
            let (code, kind) = (status.code(), kind.unwrap_or_default());
            let row = format!("| {code} | {kind} | {} |", status.meaning());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_command_with_injectable_faults_has_the_fault_flag() {
        let mut cli = Cli::command();
        cli.build();
        for FaultPoints { command, .. } in FaultPoints::ALL {
            let takes = subcommand(&cli, command).get_arguments().any(|one| one.get_long() == Some("fault"));
            assert!(takes, "{command}");
        }
    }
}
