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
