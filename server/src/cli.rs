//! The command line: one file a command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use callboard_domain::clock::{Clock, SystemClock};
use clap::{Parser, Subcommand};

use crate::config::{self, ConfigError, DatabaseUrl, Loaded, Overrides};

mod apply;
mod audit;
mod backup;
mod bench;
mod body;
mod client;
mod completions;
mod config_check;
mod delivery;
mod demo;
mod event;
mod exit;
mod export;
mod health;
mod job;
mod keys;
mod list;
mod listen;
mod login;
mod migrate;
mod migrate_data;
mod profile;
mod progress;
mod remote;
mod replay;
mod send;
mod serve;
mod sign_in_link;
mod table;
mod temporary;
mod tenant;
mod wait;
mod webhook;

/// Webhooks for ticketing: publish what happened, and every partner who
/// registered hears of it.
#[derive(Debug, Parser)]
#[command(name = "callboard", version, arg_required_else_help = true, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ServerArguments),
    /// Run a server with a receiver and sample webhooks, and watch deliveries arrive.
    ///
    /// Unless a database is chosen, it is made in a temporary folder and removed
    /// at the end.
    Demo(demo::Arguments),
    /// Ask a running server whether it is ready.
    ///
    /// Says `ready` and exits with 0 if `/readyz` answers so within 5 seconds, and
    /// else with 1 and the reason. Needs no token. For a supervisor that can't ask
    /// by HTTP, such as a container's.
    Health(health::Arguments),
    /// Publish events from a file or from standard input.
    Send(send::Arguments),
    /// Send a webhook again what it has had, or send it what it has missed.
    ///
    /// It is the server's work, and goes on when this command is interrupted.
    Replay(replay::Arguments),
    /// Bring deliveries to an address that only this machine can reach.
    ///
    /// Each event is posted as a webhook gets it, and shown with its number, the time
    /// (UTC), type, subject, the status of the answer and how long that took. Type r
    /// and Enter to send the last one again, r 3 for number 3, q to end. A connection
    /// that breaks is opened anew, and nothing is missed.
    Listen(listen::Arguments),
    /// See what was published, and publish more.
    #[command(subcommand)]
    Event(event::Command),
    /// See and change who hears what.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// See what became of events, and try again.
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Look at, or stop, long work that was started by hand.
    #[command(subcommand)]
    Job(job::Command),
    /// Make the server have what a file says: tenants, clients and webhooks.
    ///
    /// What the file names is made or changed, and shown; applied again, it changes
    /// nothing. What it does not name stays as it is, unless --prune is given.
    Apply(apply::Arguments),
    /// Write what is on the server in the form that apply reads, secrets masked.
    Export(export::Arguments),
    /// See who changed what.
    Audit(audit::Arguments),
    /// Store a server, and how to sign in to it, for the other commands.
    Login(login::Arguments),
    /// Forget what was stored.
    Logout(login::LogoutArguments),
    /// Look at what was stored.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Write what a shell needs to complete the commands.
    Completions(completions::Arguments),
    /// Write pages for man.
    Man(completions::ManArguments),
    /// Copy a database of SQLite while a server may use it.
    ///
    /// The copy is complete as of one moment, is checked, and only gets its name
    /// when it is on disk. The exit code is 0 then; when it is 1, there is no copy,
    /// and what was there before is as it was. PostgreSQL has its own tool, `pg_dump`.
    Backup(backup::Arguments),
    /// Bring a database up to date, or make it, without serving it.
    ///
    /// The server does so whenever it starts. Alone it can be tried on a copy, to see
    /// whether it goes well and how long it takes. On SQLite no server may use the file.
    Migrate(migrate::Arguments),
    /// Move a database of SQLite into an empty one of PostgreSQL.
    ///
    /// No server may use either. The source stays as it is. A run that ended early
    /// is gone on with by the same command. At the end every table is compared on
    /// both sides; the exit code is 0 when all of it is the same, and else 1.
    MigrateData(migrate_data::Arguments),
    /// Manage the programs that act for a tenant.
    #[command(subcommand)]
    Client(client::Command),
    /// Manage tenants.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Manage the keys that seal secrets in the database.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make a link that signs the operator in to the dashboard, once, within an hour.
    ///
    /// A running server makes it.
    SignInLink(sign_in_link::Arguments),
    /// Look at the settings.
    #[command(subcommand)]
    Config(config_check::Command),
    /// Measure on this machine what is promised about speed, scenario by scenario.
    ///
    /// A missed aim is a finding and no fault: the exit code tells whether it
    /// could be measured. What is compared runs in turns, on temporary databases
    /// that are removed at the end.
    Bench(bench::Arguments),
}

/// What a command that runs a server takes. Every setting can also be given in
/// the settings file and as `CALLBOARD_...`; see `callboard config check`.
#[derive(Debug, Clone, Default, clap::Args)]
struct ServerArguments {
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        help = "Where to listen [default: 127.0.0.1:8080] [env: CALLBOARD_LISTEN]"
    )]
    listen: Option<std::net::SocketAddr>,
    #[arg(
        long,
        value_name = "URL",
        help = "The database: sqlite:PATH, or postgres://USER@HOST/NAME; others on this machine could read a password \
                here [default: sqlite:callboard.db; demo: a temporary one] [env: CALLBOARD_DATABASE]"
    )]
    database: Option<DatabaseUrl>,
    /// The settings file [default: callboard.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "CALLBOARD_CONFIG")]
    config: Option<PathBuf>,
}

impl ServerArguments {
    fn load(&self) -> Result<Loaded, ConfigError> {
        let overrides = Overrides { listen: self.listen, database: self.database.clone() };
        let readable = |text: OsString| text.into_string().ok();
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((readable(name)?, readable(value)?)));
        config::load(self.config.as_deref(), variables, &overrides)
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Send(arguments) => send::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Event(command) => event::run(&command),
        Command::Webhook(command) => webhook::run(&command),
        Command::Delivery(command) => delivery::run(&command),
        Command::Job(command) => job::run(&command),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => login::logout(&arguments),
        Command::Profile(command) => profile::run(&command),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::MigrateData(arguments) => migrate_data::run(&arguments),
        Command::Client(command) => client::run(&command),
        Command::Tenant(command) => tenant::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::SignInLink(arguments) => sign_in_link::run(&arguments),
        Command::Config(command) => config_check::run(&command),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error}"));
            exit::Exit::of(&error).into()
        }
    }
}

/// What stops a command, in words for the person who gave it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

type Outcome = Result<(), Failure>;

/// The machine's clock.
fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Runs `work` to its end on all cores.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Writes a whole result to standard output. Whoever reads only its beginning, as
/// `head` does, has got what they wanted.
fn print(text: &str) -> Outcome {
    print_while_read(text).map(drop)
}

/// The same, and whether anybody reads it.
fn print_while_read(text: &str) -> Result<bool, Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output can't be written: {error}").into()),
    }
}

/// Writes a line of result to standard output.
fn say(line: &str) -> Outcome {
    print(&format!("{line}\n"))
}

/// Writes a line that is no result to standard error.
fn note(line: &str) {
    complain(&format!("{line}\n"));
}

/// Puts a line of progress in the place of the last one, on a terminal.
fn redraw(line: &str) {
    complain(&format!("\r\x1b[2K{line}"));
}

/// Writes to standard error. When that is closed, there is nobody to be told so.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_arguments_of_a_command_contradict_each_other() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
