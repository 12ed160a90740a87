//! Processes that cannot outlive their owner.
//!
//! A shell holds the components as its children and reads commands from a pipe whose only writer is this process.
//! When the pipe closes - an orderly stop, a panic, SIGKILL alike - it kills its children by pid, ends what those have left
//! behind in its process group, and removes the work folder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};

// Children that have not been waited for keep their pid, so that the kill cannot hit a stranger.
const SCRIPT: &str = r#"pids=
while IFS= read -r line; do eval "$line"; done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
trap '' TERM
kill -TERM 0
wait
rm -rf -- "$@"
"#;

/// A set of processes with one work folder, which is also their working directory.
#[derive(Debug)]
pub(super) struct Supervisor {
    shell: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the shell in `folder`; at the end it removes `folder` and the files of `also`.
    pub(super) fn start(folder: &Path, also: &[PathBuf]) -> Result<Self> {
        let log = File::create(folder.join("supervisor.log")).context("make the supervisor's log")?;
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "mlplat-supervisor"])
            .arg(folder)
            .args(also)
            .current_dir(folder)
            // Ctrl-C is for the owner; the shell must live to clean up
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start /bin/sh")?;
        let commands = shell.stdin.take();
        let answers = shell.stdout.take().context("the supervisor has no stdout")?;
        Ok(Self {
            shell,
            commands,
            answers: BufReader::new(answers),
        })
    }

    /// Starts one process with its output in `log`, and returns its pid.
    pub(super) fn spawn(&mut self, program: &Path, arguments: &[String], log: &Path) -> Result<u32> {
        let mut words = vec![quote(&program.display().to_string())?];
        for argument in arguments {
            words.push(quote(argument)?);
        }
        let (words, log) = (words.join(" "), quote(&log.display().to_string())?);
        let line = format!(
            "{words} </dev/null >>{log} 2>&1 & pids=\"$pids $!\"; echo $!
"
        );
        let answer = self.ask(&line)?;
        answer
            .trim()
            .parse()
            .with_context(|| format!("start {}: no pid but {answer:?}", program.display()))
    }

    /// Kills one of the processes and waits until it is gone.
    pub(super) fn end(&mut self, pid: u32) -> Result<()> {
        // its pid is anybody's from now on
        self.ask(&format!(
            "kill -KILL {pid}; wait {pid}; pids=\" $pids \"; pids=\"${{pids%% {pid} *}} ${{pids#* {pid} }}\"; echo ended\n"
        ))?;
        Ok(())
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let commands = self.commands.as_mut().context("the supervisor has been stopped")?;
        commands
            .write_all(line.as_bytes())
            .context("send a command to the supervisor")?;
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .context("read the supervisor's answer")?;
        Ok(answer)
    }

    /// Kills all processes, removes the folder and waits until both are done.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.commands.take().is_none() {
            return Ok(());
        }
        let status = self.shell.wait().context("wait for the supervisor")?;
        if !status.success() {
            bail!("the supervisor failed while cleaning up ({status})");
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("control plane: {error:#}");
        }
    }
}

/// Whether the process still runs. An ended one that nobody waited for does not.
pub(super) fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        // no such process, or no /proc: then only the time limit notices
        return !Path::new("/proc/self/stat").exists();
    };
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn quote(text: &str) -> Result<String> {
    if text.contains(['\n', '\0']) {
        bail!("a line break cannot be passed on: {text:?}");
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread::sleep, time::Duration};

    #[test]
    fn children_of_children_end_too() {
        let folder = std::env::temp_dir().join(format!("mlplat-supervisor-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut supervisor = Supervisor::start(&folder, &[]).expect("a supervisor");
        let told = folder.join("child");
        let script = format!(
            "sleep 300 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait",
            told.display()
        );
        let arguments = ["-c".to_owned(), script];
        supervisor
            .spawn(Path::new("/bin/sh"), &arguments, &folder.join("log"))
            .expect("a child");
        while !told.exists() {
            sleep(Duration::from_millis(10));
        }
        let text = fs::read_to_string(&told).expect("the child's child");
        let child: u32 = text.trim().parse().expect("a pid");
        assert!(runs(child));
        supervisor.stop().expect("an orderly stop");
        for _ in 0..100 {
            if runs(child) {
                sleep(Duration::from_millis(10));
            }
        }
        assert!(!runs(child), "{child} lives on");
        assert!(!folder.exists());
    }
}
