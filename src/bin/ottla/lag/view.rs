//! The live view of `ottla lag --watch`: its state, and how it is drawn. It knows neither terminal nor brokers.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use ottla::types::TopicPartition;
use ratatui::Frame;
use ratatui::crossterm::event::Event;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::event::KeyModifiers;
use ratatui::layout::Constraint;
use ratatui::layout::Layout;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Text;
use ratatui::widgets::Row as Cells;
use ratatui::widgets::Table;
use ratatui::widgets::TableState;

use super::Page;
use super::Row;

/// The partitions of the last check, those with the most records left first, and what the user wants to see of them.
#[derive(Debug)]
pub(super) struct View {
    every: Duration,
    threshold: Option<u64>,
    has_colours: bool,
    page: Option<Page>,
    /// The committed offset of each partition of a group, and when it was known.
    committed: BTreeMap<(String, TopicPartition), (Instant, i64)>,
    /// Records that each partition of a group committed in a second, between the last two checks.
    rates: BTreeMap<(String, TopicPartition), f64>,
    is_paused: bool,
    scroll: TableState,
    /// The rows that the terminal shows at once.
    height: usize,
}

/// The user's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stay,
    Quit,
}

impl View {
    pub(super) fn new(every: Duration, threshold: Option<u64>, has_colours: bool) -> Self {
        Self {
            every,
            threshold,
            has_colours,
            page: None,
            committed: BTreeMap::new(),
            rates: BTreeMap::new(),
            is_paused: false,
            scroll: TableState::default(),
            height: 0,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// The last check, if there was one.
    pub(super) fn into_page(self) -> Option<Page> {
        self.page
    }

    /// Takes the result of a check.
    pub(super) fn update(&mut self, mut page: Page, now: Instant) {
        // Without a number of records, something is wrong: these come first.
        page.rows.sort_by_key(|row| std::cmp::Reverse(row.lag.to_read().unwrap_or(u64::MAX)));
        self.rates.clear();
        let mut committed = BTreeMap::new();
        for row in &page.rows {
            let Some(offset) = row.committed() else { continue };
            let key = (row.group.clone(), row.lag.partition.clone());
            if let Some((then, before)) = self.committed.get(&key) {
                let seconds = now.saturating_duration_since(*then).as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "a rate is shown without fractions")]
                let records = (offset - before) as f64;
                if seconds > 0.0 {
                    self.rates.insert(key.clone(), records / seconds);
                }
            }
            committed.insert(key, (now, offset));
        }
        self.committed = committed;
        self.page = Some(page);
    }

    /// Takes a key or another event of the terminal.
    pub(super) fn handle(&mut self, event: &Event) -> Wish {
        let Event::Key(key) = event else { return Wish::Stay };
        if key.kind == KeyEventKind::Release {
            return Wish::Stay;
        }
        let (offset, screen) = (self.scroll.offset_mut(), self.height.max(1));
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            // In raw mode the terminal sends no SIGINT.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Wish::Quit,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Down | KeyCode::Char('j') => *offset = offset.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => *offset = offset.saturating_sub(1),
            KeyCode::PageDown => *offset = offset.saturating_add(screen),
            KeyCode::PageUp => *offset = offset.saturating_sub(screen),
            KeyCode::Home => *offset = 0,
            KeyCode::End => *offset = usize::MAX,
            _ => {}
        }
        Wish::Stay
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
        frame.render_widget(Line::styled(self.title(), Style::new().add_modifier(Modifier::BOLD)), head);
        // The first line of the table has the names of the columns.
        self.height = usize::from(body.height.saturating_sub(1));
        let rows = self.page.as_ref().map_or(0, |page| page.rows.len());
        let offset = self.scroll.offset_mut();
        *offset = (*offset).min(rows.saturating_sub(self.height));
        let table = self.table();
        frame.render_stateful_widget(table, body, &mut self.scroll);
        frame.render_widget(self.footer(), foot);
    }

    fn title(&self) -> String {
        let Some(page) = &self.page else { return "Checking …".to_owned() };
        let left = page.rows.iter().filter_map(|row| row.lag.to_read()).fold(0_u64, u64::saturating_add);
        let mut title = format!("{} partitions, {left} records left", page.rows.len());
        if let Some(threshold) = self.threshold {
            let above = page.rows.iter().filter(|row| row.is_above(threshold)).count();
            title.push_str(&format!(", {above} above the threshold of {threshold}"));
        }
        title.push_str(if self.is_paused { "; paused" } else { "" });
        title
    }

    /// The failures of the last check, or the keys.
    fn footer(&self) -> Line<'static> {
        let failed = self.page.as_ref().map(Page::failures).filter(|failed| !failed.is_empty());
        if let Some(failed) = failed {
            return Line::styled(failed.join("; "), self.style(Color::Red));
        }
        let keys = format!("every {} s; q quits, p pauses, arrows scroll", self.every.as_secs());
        Line::styled(keys, Style::new().add_modifier(Modifier::DIM))
    }

    fn table(&self) -> Table<'static> {
        let rows: &[Row] = self.page.as_ref().map_or(&[], |page| &page.rows);
        let cells: Vec<[String; COLUMNS.len()]> = rows.iter().map(|row| self.cells(row)).collect();
        let width = |column: usize| {
            let widest = cells.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
            Constraint::Length(u16::try_from(widest.max(COLUMNS[column].0.len())).unwrap_or(u16::MAX))
        };
        let aligned = |column: usize, text: String| {
            if COLUMNS[column].1 { Text::from(text).right_aligned() } else { Text::from(text) }
        };
        let heads = COLUMNS.iter().enumerate().map(|(column, (name, _))| aligned(column, (*name).to_owned()));
        let heads = Cells::new(heads).style(Style::new().add_modifier(Modifier::REVERSED));
        let widths: Vec<Constraint> = (0..COLUMNS.len()).map(width).collect();
        let lines = cells.into_iter().zip(rows).map(|(cells, row)| {
            let cells = cells.into_iter().enumerate().map(|(column, text)| aligned(column, text));
            Cells::new(cells).style(self.style_of(row))
        });
        Table::new(lines, widths).header(heads).column_spacing(2)
    }

    fn cells(&self, row: &Row) -> [String; COLUMNS.len()] {
        let number = |offset: Option<i64>| offset.map(|offset| offset.to_string()).unwrap_or_default();
        let rate = self.rates.get(&(row.group.clone(), row.lag.partition.clone()));
        [
            row.group.clone(),
            row.lag.partition.topic.to_string(),
            row.lag.partition.partition.to_string(),
            number(row.committed()),
            number(row.lag.end),
            row.lag.to_read().map(|records| records.to_string()).unwrap_or_default(),
            row.state().to_owned(),
            rate.map(|rate| format!("{rate:.0}")).unwrap_or_default(),
            row.owner.as_ref().map(|(member, _)| member.clone()).unwrap_or_default(),
        ]
    }

    /// Red above the threshold, yellow where the commit does not fit the log.
    fn style_of(&self, row: &Row) -> Style {
        match self.threshold {
            Some(threshold) if row.is_above(threshold) => self.style(Color::Red),
            _ if row.state() != "ok" => self.style(Color::Yellow),
            _ => Style::new(),
        }
    }

    fn style(&self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }
}

/// The names of the columns, and whether they have numbers.
const COLUMNS: [(&str, bool); 9] = [
    ("GROUP", false),
    ("TOPIC", false),
    ("PARTITION", true),
    ("COMMITTED", true),
    ("END", true),
    ("LAG", true),
    ("STATE", false),
    ("RATE/S", true),
    ("MEMBER", false),
];

#[cfg(test)]
mod tests {
    use ottla::mock::Cluster;
    use ottla::mock::NewBatch;
    use ottla::mock::Server;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    use super::*;
    use crate::args::groups::Lag;

    /// A group that has committed offset 2 of each partition of a topic with 10, 30 and 20 records, and one beyond the end of a fourth.
    async fn checked(server: &Server) -> Page {
        let client = ottla::Client::builder([server.bootstrap()]).expect("an address");
        let client = client.connector(server.connector()).connect().await.expect("it answers");
        let offsets = [(0, 2), (1, 2), (2, 2), (3, 9)];
        let offsets = offsets.map(|(partition, offset)| (TopicPartition::new("t", partition), offset));
        for (_, altered) in client.admin().alter_group_offsets("g", offsets).await {
            altered.expect("the group has no members");
        }
        let options = Lag { group: vec!["g".to_owned()], topic: vec!["t".to_owned()], watch: Some(2), threshold: None };
        super::super::check(&client.admin(), &options).await
    }

    async fn page() -> Page {
        let server = Server::in_memory(Cluster::builder().topic("t", 4).build());
        for (partition, records) in [(0, 10), (1, 30), (2, 20)] {
            let batch = NewBatch::of((0..records).map(|_| ("k", "v")));
            server.with(|cluster| cluster.append("t", partition, &batch)).expect("it exists");
        }
        checked(&server).await
    }

    fn lines(view: &mut View, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(100, height)).expect("a backend");
        terminal.draw(|frame| view.draw(frame)).expect("it is drawn");
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
    }

    fn press(view: &mut View, code: KeyCode) -> Wish {
        view.handle(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_are_drawn_with_the_most_records_left_first() {
        let mut view = View::new(Duration::from_secs(2), Some(18), true);
        assert_eq!(lines(&mut view, 4)[0], "Checking …");
        view.update(page().await, now());
        let drawn = lines(&mut view, 7);
        assert_eq!(
            drawn,
            [
                "4 partitions, 54 records left, 2 above the threshold of 18",
                "GROUP  TOPIC  PARTITION  COMMITTED  END  LAG  STATE  RATE/S  MEMBER",
                "g      t              3          9    0       ahead",
                "g      t              1          2   30   28  ok",
                "g      t              2          2   20   18  ok",
                "g      t              0          2   10    8  ok",
                "every 2 s; q quits, p pauses, arrows scroll",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rows_above_the_threshold_are_red_unless_colours_are_off() {
        for (has_colours, red, yellow) in [(true, Color::Red, Color::Yellow), (false, Color::Reset, Color::Reset)] {
            for (threshold, colours) in
                [(Some(20), [red, red, Color::Reset]), (None, [yellow, Color::Reset, Color::Reset])]
            {
                let mut view = View::new(Duration::from_secs(2), threshold, has_colours);
                view.update(page().await, now());
                let mut terminal = Terminal::new(TestBackend::new(100, 7)).expect("a backend");
                terminal.draw(|frame| view.draw(frame)).expect("it is drawn");
                let buffer = terminal.backend().buffer();
                assert_eq!([2, 3, 4].map(|line| buffer[(0, line)].fg), colours, "{threshold:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rate_is_of_records_committed_between_two_checks() {
        let (mut view, begun) = (View::new(Duration::from_secs(2), None, true), now());
        let mut first = page().await;
        first.rows.iter_mut().for_each(|row| row.lag.committed = None);
        view.update(first, begun);
        view.update(page().await, begun + Duration::from_secs(2));
        assert!(lines(&mut view, 7)[3].ends_with("ok"), "one offset has no rate");
        let key = ("g".to_owned(), TopicPartition::new("t", 1));
        view.committed.insert(key, (begun, -18));
        view.update(page().await, begun + Duration::from_secs(2));
        assert_eq!(lines(&mut view, 7)[3].split_whitespace().skip(6).collect::<Vec<_>>(), ["ok", "10"]);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_scroll_pause_and_quit() {
        let mut view = View::new(Duration::from_secs(2), None, true);
        view.update(page().await, now());
        // Two of the four rows fit.
        let shown = |view: &mut View| {
            let drawn = lines(view, 5);
            [2, 3].map(|line: usize| drawn[line].split_whitespace().nth(2).expect("a partition").to_owned())
        };
        assert_eq!(shown(&mut view), ["3", "1"]);
        for (key, expected) in [
            (KeyCode::Down, ["1", "2"]),
            (KeyCode::PageDown, ["2", "0"]),
            (KeyCode::Down, ["2", "0"]),
            (KeyCode::Up, ["1", "2"]),
            (KeyCode::End, ["2", "0"]),
            (KeyCode::Home, ["3", "1"]),
        ] {
            assert_eq!(press(&mut view, key), Wish::Stay);
            assert_eq!(shown(&mut view), expected, "{key:?}");
        }
        assert_eq!((press(&mut view, KeyCode::Char('p')), view.is_paused()), (Wish::Stay, true));
        assert!(lines(&mut view, 5)[0].ends_with("; paused"));
        assert_eq!((press(&mut view, KeyCode::Char('p')), view.is_paused()), (Wish::Stay, false));
        assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.handle(&Event::Key(interrupt)), Wish::Quit);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_take_the_place_of_the_keys() {
        let mut view = View::new(Duration::from_secs(2), None, true);
        view.update(Page { rows: Vec::new(), failed: vec!["group g does not answer".to_owned()] }, now());
        assert_eq!(lines(&mut view, 4).last().map(String::as_str), Some("group g does not answer"));
    }
}
