//! `callboard completions` and `callboard man`: what shells and `man` want to know,
//! from the definition that reads the arguments.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, ValueEnum};

use super::{Outcome, print, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// Write a page for each command into this folder, instead of the main one to standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Arguments::command(), "callboard", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(arguments: &ManArguments) -> Outcome {
    let mut command = super::Arguments::command();
    command.build();
    let Some(folder) = &arguments.folder else { return print(&page(&command)?) };
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
    let written = write(&command, "callboard", folder)?;
    say(&format!(
        "{written} pages in {}; read one with: man -l {}",
        folder.display(),
        folder.join("callboard.1").display()
    ))?;
    Ok(())
}

/// Writes the pages of a command and of all below it, and returns how many.
fn write(command: &clap::Command, name: &str, folder: &Path) -> Result<usize, super::Failure> {
    let path = folder.join(format!("{name}.1"));
    let text = page(command)?;
    std::fs::write(&path, text).map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    let mut written = 1;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        written += write(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(written)
}

fn page(command: &clap::Command) -> Result<String, super::Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
