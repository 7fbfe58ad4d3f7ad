//! The command line: one file per verb.

mod adjustment;
mod adopt;
mod apply;
mod attempts;
mod balance;
mod clawbacks;
mod client;
mod close;
mod copy;
mod decide;
mod demo;
mod desk;
mod doctor;
mod events;
mod exit;
mod explain;
mod global;
mod import;
mod output;
mod own;
mod payout;
mod payout_file;
mod payout_steps;
mod reader;
mod replay;
mod requeue;
mod schema;
mod scratch;
mod secret;
mod serve;
mod statement;
mod terms;
mod through;
mod token;
mod values;
mod verify;
mod whatif;

use std::process::ExitCode;

use clap::{
    ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, builder::FalseyValueParser,
};

use self::{exit::CliError, global::Global};

/// Postbook: an event-sourced conversion ledger for affiliate and partner marketing.
#[derive(Debug, Parser)]
#[command(
    name = "postbook",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Apply(apply::Apply),
    Terms(terms::Terms),
    Import(import::Import),
    Token(token::Token),
    Secret(secret::Secret),
    Close(close::Close),
    Statement(statement::Statement),
    Payout(payout::Payout),
    Adjustment(adjustment::Adjustment),
    Clawbacks(clawbacks::Clawbacks),
    Decide(decide::Decide),
    Attribute(decide::Attribute),
    Whatif(whatif::WhatifVerb),
    Adopt(adopt::Adopt),
    Explain(explain::Explain),
    Balance(balance::BalanceVerb),
    Attempts(attempts::Attempts),
    Events(events::Events),
    Requeue(requeue::Requeue),
    Replay(replay::Replay),
    Copy(copy::Copy),
    Verify(verify::Verify),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
}

/// Runs the program as its arguments and `POSTBOOK_*` variables say.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => error.exit(),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&error.message);
            error.code()
        }
    }
}

impl Cli {
    fn run(self) -> Result<(), CliError> {
        let global = self.global;
        match self.verb {
            Verb::Serve(verb) => block_on(verb.run(&global)),
            Verb::Demo(verb) => block_on(verb.run(&global)),
            Verb::Apply(verb) => block_on(verb.run(&global)),
            Verb::Terms(verb) => block_on(verb.run(&global)),
            Verb::Import(verb) => block_on(verb.run(&global)),
            Verb::Token(verb) => block_on(verb.run(&global)),
            Verb::Secret(verb) => block_on(verb.run(&global)),
            Verb::Close(verb) => block_on(verb.run(&global)),
            Verb::Statement(verb) => block_on(verb.run(&global)),
            Verb::Adjustment(verb) => block_on(verb.run(&global)),
            Verb::Clawbacks(verb) => block_on(verb.run(&global)),
            Verb::Decide(verb) => block_on(verb.run(&global)),
            Verb::Attribute(verb) => block_on(verb.run(&global)),
            Verb::Payout(verb) => block_on(verb.run(&global)),
            Verb::Whatif(verb) => block_on(verb.run(&global)),
            Verb::Adopt(verb) => block_on(verb.run(&global)),
            Verb::Explain(verb) => block_on(verb.run(&global)),
            Verb::Balance(verb) => block_on(verb.run(&global)),
            Verb::Attempts(verb) => block_on(verb.run(&global)),
            Verb::Events(verb) => block_on(verb.run(&global)),
            Verb::Requeue(verb) => block_on(verb.run(&global)),
            Verb::Replay(verb) => block_on(verb.run(&global)),
            Verb::Copy(verb) => block_on(verb.run(&global)),
            Verb::Doctor(verb) => block_on(verb.run(&global)),
            Verb::Verify(verb) => block_on(verb.run(&global)),
            Verb::Schema(verb) => verb.run(&global),
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build();
    runtime.map_err(CliError::failed)?.block_on(work)
}

/// One processor is left to the threads that write to disk, fold and compress: requests that wait
/// for these gain nothing from a worker that competes with them.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.saturating_sub(1).max(1)
}

/// The command line, every flag mirrored by a variable: `--dry-run` by `POSTBOOK_DRY_RUN`.
fn command() -> clap::Command {
    mirrored(Cli::command())
}

fn mirrored(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let name = arg
                .get_long()
                .map(|long| long.replace('-', "_").to_uppercase());
            let Some(name) = name.filter(|name| name != "HELP" && name != "VERSION") else {
                return arg;
            };
            let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
            let arg = arg
                .env(format!("POSTBOOK_{name}"))
                .hide_env_values(true)
                .hide_env(true);
            if is_switch {
                arg.value_parser(FalseyValueParser::new())
            } else {
                arg
            }
        })
        .mut_subcommands(mirrored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_and_flag_is_in_the_reference() {
        const REFERENCE: &str = include_str!("../../docs/reference/cli.md");
        fn check(command: &clap::Command, missing: &mut Vec<String>) {
            for verb in command
                .get_subcommands()
                .filter(|verb| verb.get_name() != "help")
            {
                if !REFERENCE.contains(verb.get_name()) {
                    missing.push(verb.get_name().to_owned());
                }
                check(verb, missing);
            }
            let flags = command.get_arguments().filter_map(clap::Arg::get_long);
            let own = flags.filter(|flag| !["help", "version"].contains(flag));
            let absent = own.filter(|flag| !REFERENCE.contains(&format!("--{flag}")));
            missing.extend(absent.map(|flag| format!("{} --{flag}", command.get_name())));
        }
        let mut missing = Vec::new();
        check(&command(), &mut missing);
        assert!(
            missing.is_empty(),
            "docs/reference/cli.md lacks {missing:?}"
        );
    }

    #[test]
    fn every_flag_is_mirrored_by_a_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let is_own = arg
                    .get_long()
                    .is_some_and(|long| !["help", "version"].contains(&long));
                assert_eq!(
                    arg.get_env().is_some(),
                    is_own,
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
