//! Shows the live view of `ottla lag --watch` on the terminal, and gives the terminal back however the view ends.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Page;
use super::view::View;
use super::view::Wish;
use crate::Failure;
use crate::signals;

/// Checks every so often, and draws, until the user quits. Returns the last check, if there was one.
///
/// Keys are handled while a check runs.
pub(super) async fn watch(
    mut view: View,
    every: Duration,
    mut check: impl AsyncFnMut() -> Page,
) -> Result<Option<Page>, Failure> {
    let mut screen = Screen::open()?;
    let mut events = events();
    let mut interrupted = std::pin::pin!(signals::interrupted());
    let mut next = Instant::now();
    loop {
        screen.draw(&mut view)?;
        let is_paused = view.is_paused();
        tokio::select! {
            () = tokio::time::sleep_until(next), if !is_paused => {
                let mut checking = std::pin::pin!(check());
                let page = loop {
                    tokio::select! {
                        page = &mut checking => break page,
                        event = next_event(&mut events) => match view.handle(&event) {
                            Wish::Quit => return Ok(view.into_page()),
                            Wish::Stay => screen.draw(&mut view)?,
                        },
                        _ = &mut interrupted => return Ok(view.into_page()),
                    }
                };
                let now = Instant::now();
                view.update(page, now.into_std());
                next = now + every;
            }
            event = next_event(&mut events) => {
                if view.handle(&event) == Wish::Quit {
                    return Ok(view.into_page());
                }
            }
            _ = &mut interrupted => return Ok(view.into_page()),
        }
    }
}

/// The terminal, in raw mode and on its other screen. A panic gives it back before its message is printed (`ratatui::try_init`).
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(|error| {
            ratatui::restore();
            failed(&error)
        })
    }

    fn draw(&mut self, view: &mut View) -> Result<(), Failure> {
        self.0.draw(|frame| view.draw(frame)).map(|_| ()).map_err(|error| failed(&error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: &io::Error) -> Failure {
    let remedy = "pass --json, or redirect the output to a file, to have lines";
    Failure::Failed(format!("could not draw on the terminal: {error}; {remedy}"))
}

/// The keys that are pressed and the changes of the terminal's size.
fn events() -> mpsc::UnboundedReceiver<Event> {
    let (sender, events) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // Looks up now and then, so that the thread ends with the view.
        while !sender.is_closed() {
            match event::poll(Duration::from_millis(200)) {
                Ok(false) => {}
                Ok(true) => match event::read().map(|event| sender.send(event)) {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                },
                Err(_) => return,
            }
        }
    });
    events
}

/// The next event. Without a keyboard there is none.
async fn next_event(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    match events.recv().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::*;

    /// Run by the test below, on a terminal.
    #[test]
    #[ignore = "it panics on purpose"]
    fn view_that_panics() {
        let mut view = View::new(Duration::from_secs(1), None, false);
        let mut screen = Screen::open().unwrap_or_else(|_| panic!("no terminal"));
        screen.draw(&mut view).unwrap_or_else(|_| panic!("not drawn"));
        panic!("on purpose");
    }

    #[test]
    fn panic_gives_the_terminal_back_before_its_message() {
        let test = std::env::current_exe().expect("this test");
        let test = format!("{} --exact lag::screen::tests::view_that_panics --ignored --nocapture", test.display());
        let shell = format!("stty rows 20 cols 80; echo MODE=$(stty -g); {test}; echo MODE=$(stty -g)");
        let mut script = Command::new("script");
        script.args(["-qec", &shell, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
        let done = script.stdin(std::process::Stdio::null()).output().expect("script, of util-linux");
        let text = String::from_utf8_lossy(&done.stdout);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in {text:?}"));
        assert!(at("\u{1b}[?1049h") < at("Checking"), "the view was drawn: {text:?}");
        assert!(at("\u{1b}[?1049l") < at("on purpose"), "the message is on the first screen: {text:?}");
        let modes: Vec<&str> = text.split("MODE=").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
        assert!(modes.len() == 2 && modes[0] == modes[1], "raw mode is off: {text:?}");
    }
}
