//! Patterns of topics: what a consumer subscribes to by other means than names.

use std::fmt;
use std::sync::Arc;

use regex_lite::Regex;

use crate::error::Error;

/// A pattern of topics to subscribe to, for [`subscribe_pattern`](crate::consumer::ConsumerBuilder::subscribe_pattern).
///
/// Either the client decides which topics match, by a [regular expression](Self::regex) or a [function](Self::filter), with both
/// protocols of groups. Or the group's coordinator does ([`Self::server`]), with the protocol `consumer` only.
///
/// ```
/// use ottla::consumer::TopicPattern;
///
/// let pattern = TopicPattern::regex(r"logs-(eu|us)-\d+").unwrap();
/// assert!(pattern.matches("logs-eu-7"));
/// assert!(!pattern.matches("old-logs-eu-7"), "the whole name has to match");
/// ```
#[derive(Clone)]
pub struct TopicPattern(Kind);

#[derive(Clone)]
enum Kind {
    Filter { text: Arc<str>, matches: Arc<dyn Fn(&str) -> bool + Send + Sync> },
    Server(Arc<str>),
}

impl TopicPattern {
    /// The topics whose whole names match a regular expression, as in Java (`Pattern`, `Matcher.matches`).
    ///
    /// The syntax is that of the crate `regex-lite`: that of Perl without look-around and back-references, so that matching takes linear
    /// time.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the expression cannot be compiled. The cause says why.
    pub fn regex(expression: &str) -> Result<Self, Error> {
        let wrong = |error: regex_lite::Error| {
            Error::config(format!("{expression:?} is not a regular expression")).caused_by(error)
        };
        // An unclosed group must not close the one around it.
        Regex::new(expression).map_err(wrong)?;
        let regex = Regex::new(&format!("^(?:{expression})$")).map_err(wrong)?;
        Ok(Self(Kind::Filter { text: expression.into(), matches: Arc::new(move |topic| regex.is_match(topic)) }))
    }

    /// The topics for whose names a function returns `true`. It is called for every topic of the cluster, and must not block.
    ///
    /// ```
    /// use ottla::consumer::TopicPattern;
    ///
    /// let pattern = TopicPattern::filter(|topic| topic.starts_with("logs-") && !topic.ends_with("-test"));
    /// assert!(pattern.matches("logs-eu"));
    /// ```
    pub fn filter(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::Filter { text: "a function".into(), matches: Arc::new(matches) })
    }

    /// The topics whose whole names match a regular expression in the syntax of RE2/J, which the group's coordinator evaluates
    /// (KIP-848, Java's `SubscriptionPattern`). It needs [`GroupProtocol::Consumer`](crate::consumer::GroupProtocol::Consumer) and
    /// brokers of Kafka 4.0 or later.
    ///
    /// An expression that the coordinator cannot compile is an error of the next poll, with the code INVALID_REGULAR_EXPRESSION.
    pub fn server(expression: impl Into<String>) -> Self {
        Self(Kind::Server(expression.into().into()))
    }

    /// Whether a topic of this name matches. A pattern that the coordinator evaluates matches nothing here.
    pub fn matches(&self, topic: &str) -> bool {
        match &self.0 {
            Kind::Filter { matches, .. } => matches(topic),
            Kind::Server(_) => false,
        }
    }

    /// The expression that the coordinator evaluates.
    pub(crate) fn of_server(&self) -> Option<&Arc<str>> {
        match &self.0 {
            Kind::Filter { .. } => None,
            Kind::Server(expression) => Some(expression),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Filter { text, .. } | Kind::Server(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TopicPattern").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_names_as_in_java() {
        // Expression, name, the result of Java's `Pattern.matches`.
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("^a", "ab", false),
            ("^a.*", "ab", true),
            ("a|b", "b", true),
            ("a|ab", "ab", true),
            ("a|b", "ab", false),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            ("a.b", "axb", true),
            (r"\w+-\d{2}", "logs-07", true),
            (r"\w+-\d{2}", "logs-7", false),
            ("(?i)LOGS", "logs", true),
            ("[^_].*", "__consumer_offsets", false),
            ("", "a", false),
            (".*", "a", true),
            ("a$", "a", true),
        ];
        for (expression, name, expected) in rows {
            let pattern = TopicPattern::regex(expression).expect(expression);
            assert_eq!(pattern.matches(name), expected, "{expression} {name}");
        }
    }

    #[test]
    fn expression_that_does_not_compile_is_refused_with_the_reason() {
        for expression in ["(", "a)(b", "[z-a]", "*", "(?<=a)b", r"(a)\1", "a{1000000000}"] {
            let error = TopicPattern::regex(expression).expect_err(expression);
            assert_eq!(error.kind(), crate::error::Kind::Config, "{expression}");
            assert!(error.to_string().contains("is not a regular expression"), "{error}");
        }
    }
}
