//! Tells the service manager that started the process how it is, as
//! [`sd_notify`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html) says.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use callboard_domain::store::{Result, StoreError};
use tokio_util::sync::CancellationToken;

/// Longest wait for a service manager that does not read what it is told: it must
/// not hold the program up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who started the process and wants to hear of it. Where nobody does, nobody is told.
#[derive(Debug, Default)]
pub struct Supervisor {
    ear: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Finds it by the variables that it sets: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
    /// `WATCHDOG_PID`. `process` is the id of this one.
    ///
    /// # Errors
    /// When it names a socket that can't be used.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> std::io::Result<Self> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // The variables are inherited: they may be meant for a process above this one.
        let is_meant = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(process));
        let microseconds = number("WATCHDOG_USEC").filter(|&microseconds| is_meant && microseconds > 0);
        Ok(Self { ear: Some((socket, address(&name)?)), watchdog: microseconds.map(Duration::from_micros) })
    }

    /// Tells that the program can be used now. `status` is a line for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\n{}", line(status)));
    }

    /// Tells again and again that the process is alive, and of the stop when it comes.
    /// Never ends: the watchdog has to be told during the stop as well. `status` is
    /// the line of [`Self::ready`], and `check` asks whether the database can be used.
    ///
    /// A database that is away is none of the faults that a new start would mend: a
    /// server that waits for it answers, keeps outcomes that can't be written yet,
    /// and goes on by itself, while one that is started anew without it fails. So
    /// the watchdog is told all the same. It is not told when the question has no
    /// end, because then something hangs in here, and when the database holds what
    /// this process can't understand: a new start looks at it from the beginning,
    /// and says what is wrong where it can't go on.
    pub async fn follow(self, status: String, check: impl AsyncFn() -> Result<()>, stop: CancellationToken) {
        tokio::select! {
            () = self.keep_alive(&status, &check) => {}
            () = stop.cancelled() => {}
        }
        let status = "Stopping: what is under way ends first";
        self.tell(&format!("STOPPING=1\n{}", line(status)));
        self.keep_alive(status, &check).await;
    }

    async fn keep_alive(&self, status: &str, check: &impl AsyncFn() -> Result<()>) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        loop {
            match check().await {
                Ok(()) => self.tell(&format!("WATCHDOG=1\n{}", line(status))),
                Err(error @ StoreError::Unavailable(_)) => {
                    self.tell(&format!("WATCHDOG=1\n{}", line(&format!("{status}; {error}"))));
                }
                Err(error @ StoreError::Corrupt(_)) => self.tell(&line(&format!("{status}; {error}"))),
            }
            // As its manual asks for: one that comes late is not the last one yet.
            tokio::time::sleep(watchdog / 2).await;
        }
    }

    fn tell(&self, message: &str) {
        let Some((socket, address)) = &self.ear else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, "the service manager can't be told how the server is");
        }
    }
}

/// A status that is one line, whatever is in it: each line of a message is a word of
/// its own.
fn line(status: &str) -> String {
    format!("STATUS={}", status.replace('\n', " "))
}

/// A path, or after `@` the name of a socket that is in no file system.
fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "NOTIFY_SOCKET is neither a path nor begins with @",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The process that the tests pretend to be.
    const PROCESS: u32 = 4711;

    /// A socket to be told at, and its name as a variable has it.
    struct Ear {
        socket: UnixDatagram,
        name: OsString,
        _folder: tempfile::TempDir,
    }

    impl Ear {
        fn at_a_path() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let name = folder.path().join("notify").into_os_string();
            Self { socket: quick(UnixDatagram::bind(&name).unwrap()), name, _folder: folder }
        }

        fn in_no_file_system() -> Self {
            let folder = tempfile::tempdir().unwrap();
            // The folder's name is nobody else's.
            let name = folder.path().to_str().unwrap().trim_start_matches('/').to_owned();
            let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
            let socket = quick(UnixDatagram::bind_addr(&address).unwrap());
            Self { socket, name: format!("@{name}").into(), _folder: folder }
        }

        /// Everything that was told so far.
        fn heard(&self) -> Vec<String> {
            let mut heard = Vec::new();
            let mut message = [0; 1024];
            while let Ok(length) = self.socket.recv(&mut message) {
                heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
            }
            heard
        }

        fn supervisor(&self, others: &[(&str, &str)]) -> Supervisor {
            let variable = |name: &str| match name {
                "NOTIFY_SOCKET" => Some(self.name.clone()),
                _ => others.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into()),
            };
            Supervisor::find(variable, PROCESS).unwrap()
        }
    }

    fn quick(socket: UnixDatagram) -> UnixDatagram {
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[test]
    fn it_is_told_at_a_path_and_where_there_is_no_file() {
        for ear in [Ear::at_a_path(), Ear::in_no_file_system()] {
            ear.supervisor(&[]).ready("Listening on\n127.0.0.1:8080");
            assert_eq!(ear.heard(), ["READY=1\nSTATUS=Listening on 127.0.0.1:8080"]);
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_asked() {
        for name in [None, Some("")] {
            let supervisor = Supervisor::find(|_| name.map(OsString::from), PROCESS).unwrap();
            assert!(supervisor.ear.is_none() && supervisor.watchdog.is_none());
            supervisor.ready("Listening");
        }
    }

    #[test]
    fn a_socket_of_another_kind_is_refused() {
        for name in ["vsock:2:1234", "notify"] {
            assert!(Supervisor::find(|_| Some(name.into()), PROCESS).is_err(), "{name}");
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let ear = Ear::at_a_path();
        for (pid, usec, watchdog) in [
            (None, "60000000", Some(Duration::from_mins(1))),
            (Some("4711"), "60000000", Some(Duration::from_mins(1))),
            (Some("1"), "60000000", None),
            (None, "0", None),
            (None, "soon", None),
        ] {
            let mut variables = vec![("WATCHDOG_USEC", usec)];
            variables.extend(pid.map(|pid| ("WATCHDOG_PID", pid)));
            assert_eq!(ear.supervisor(&variables).watchdog, watchdog, "{variables:?}");
        }
    }

    /// What is told in 61 seconds with a watchdog of 40 where `check` looks at the
    /// database.
    async fn told_with(check: impl AsyncFn() -> Result<()>) -> Vec<String> {
        let ear = Ear::at_a_path();
        let supervisor = ear.supervisor(&[("WATCHDOG_USEC", "40000000")]);
        let following = supervisor.follow("Listening".to_owned(), check, CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_secs(61), following).await;
        assert!(ended.is_err());
        ear.heard()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_told_at_half_its_time() {
        assert_eq!(told_with(async || Ok(())).await, ["WATCHDOG=1\nSTATUS=Listening"; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_is_away_is_no_reason_to_start_anew() {
        let told = told_with(async || Err(StoreError::Unavailable("it is full".to_owned()))).await;
        let expected = "WATCHDOG=1\nSTATUS=Listening; the database can't be used now: it is full";
        assert_eq!(told, [expected; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_or_is_not_understood_is_told_by_silence() {
        assert!(told_with(async || std::future::pending().await).await.is_empty());
        let told = told_with(async || Err(StoreError::Corrupt("no mark".to_owned()))).await;
        let expected = "STATUS=Listening; the database holds something unexpected: no mark";
        assert_eq!(told, [expected; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_told_and_the_watchdog_still_hears() {
        let ear = Ear::at_a_path();
        let supervisor = ear.supervisor(&[("WATCHDOG_USEC", "40000000")]);
        let stop = CancellationToken::new();
        stop.cancel();
        let following = supervisor.follow("Listening".to_owned(), async || Ok(()), stop);
        assert!(tokio::time::timeout(Duration::from_secs(21), following).await.is_err());
        let told = ear.heard();
        let stopping = told.iter().position(|message| message.starts_with("STOPPING=1\nSTATUS=Stopping"));
        let after = &told[stopping.unwrap() + 1..];
        assert!(
            after.len() == 2 && after.iter().all(|message| message.starts_with("WATCHDOG=1\n")),
            "{told:?}"
        );
    }
}
