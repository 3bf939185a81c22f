//! CPU time and memory of this process so far, read from /proc.

/// CPU seconds and peak memory of this process. Zeros on systems without /proc.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) user_s: f64,
    pub(crate) sys_s: f64,
    pub(crate) max_rss_mb: f64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        Self::read().unwrap_or_default()
    }

    fn read() -> Option<Self> {
        // Linux gives these in hundredths of a second whatever the kernel's own tick (USER_HZ).
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: f64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Self {
            user_s: fields.get(11)?.parse::<f64>().ok()? / TICKS,
            sys_s: fields.get(12)?.parse::<f64>().ok()? / TICKS,
            max_rss_mb: kilobytes / 1024.0,
        })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user_s: self.user_s - earlier.user_s, sys_s: self.sys_s - earlier.sys_s, max_rss_mb: self.max_rss_mb }
    }

    pub(crate) fn cpu_s(self) -> f64 {
        self.user_s + self.sys_s
    }
}
