//! The `landfall` binary.

use std::{ffi::OsString, io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::{
    command::{self, examples},
    exit_status::ExitStatus,
    faults::is_killed,
    output::{is_broken_pipe, print_error, remark},
    settings::Settings,
};
use world::Fault;

/// The version, with the commit in a release build of a git checkout.
const VERSION: &str = env!("LANDFALL_VERSION");

/// GSMA eSIM remote provisioning test system: SM-DP+, SM-DS, SM-SR, software eUICC, devices and
/// networks
///
/// Test keys only. Settings are taken from flags, then from LANDFALL_* environment variables, then
/// from landfall.toml in the data folder (or --config).
#[derive(Debug, Parser)]
#[command(name = "landfall", version = VERSION, propagate_version = true, after_help = ExitStatus::help())]
struct Cli {
    /// Data folder for keys, records and cards
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    data_dir: Option<PathBuf>,
    /// Settings file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Print the result, or the error, as one JSON document on standard output
    #[arg(long, global = true)]
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
    Eum(command::eum::Command),
    Euicc(command::euicc::Command),
    Operator(command::operator::Command),
    Device(command::device::Command),
    Network(command::network::Command),
    #[command(subcommand)]
    Profile(command::profile::Command),
    Trace(command::trace::Command),
    Explain(command::explain::Command),
    #[command(subcommand)]
    Load(command::load::Command),
    #[command(subcommand)]
    Localize(command::localize::Command),
    Faults(command::faults::Command),
    Run(command::run::Command),
    Replay(command::replay::Command),
    #[command(subcommand)]
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
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
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
        Command::Localize(command) => command.run(cli.json).map(|()| ExitCode::SUCCESS),
        Command::Faults(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Run(command) => command.run(cli.json),
        Command::Replay(command) => command.run(cli.json),
        Command::Profile(command) => wait_for(command.run(&settings, cli.json)),
        Command::Trace(command) => command.run(cli.json).map(|()| ExitCode::SUCCESS),
        Command::Explain(command) => command.run(cli.json).map(|()| ExitCode::SUCCESS),
        Command::Up(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Device(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Network(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::Certs(command) => command.run(&settings, cli.json).map(|()| ExitCode::SUCCESS),
        Command::SmDp(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::SmDs(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
        Command::SmSr(command) => wait_for(command.run(&settings, cli.json)).map(|()| ExitCode::SUCCESS),
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
    use std::collections::BTreeMap;

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
        let settings = Settings::resolve(Layer::default(), Some(nothing.path())).unwrap();
        let Settings { sm_dp, sm_ds, euicc, network, admin, .. } = settings;
        let of_settings = [sm_dp, sm_ds, euicc, network, admin.unwrap()];
        let mut listening: BTreeMap<String, String> =
            of_settings.into_iter().map(|place| (place, "the settings".to_owned())).collect();
        assert_eq!(listening.len(), 5);
        // `--at` is the address of a server that the command calls; the command does not
        // listen there.
        let (asking, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, flag, _)| flag == "at");
        assert_eq!(others.len(), 6, "{others:?}");
        for (command, flag, place) in others {
            let who = format!("{command}, {flag}");
            assert_eq!(
                listening.insert(place, who.clone()),
                None,
                "{who} uses the default address of another party"
            );
        }
        for (command, _, place) in asking {
            assert_eq!(listening[&place], "landfall sm-sr serve, listen", "{command}");
        }
    }

    /// Returns the subcommand with this name.
    fn subcommand<'c>(command: &'c clap::Command, name: &str) -> &'c clap::Command {
        name.split(' ').fold(command, |command, name| command.find_subcommand(name).unwrap())
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
