//! The value of `sasl.jaas.config`: one login module with its options, in the language of `JaasConfig.java`.
//!
//! No error shows any part of the text: a quotation mark at the wrong place makes a password look like a name.

use zeroize::Zeroizing;

use crate::error::Error;

/// A login module of Kafka's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// Of Amazon's library for MSK.
    Iam,
    OAuthBearer,
    Plain,
    Scram,
}

/// A login module with its options. The last value of an option counts, as in Java.
pub(crate) struct Login {
    pub(crate) module: Module,
    options: Vec<(String, Zeroizing<String>)>,
}

impl Login {
    /// Every option with its value, in the order of the text.
    #[cfg(any(feature = "aws-msk-iam", feature = "sasl-oauth"))]
    pub(crate) fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

const FORM: &str = "write it as MODULE required username=\"…\" password=\"…\";";

#[cold]
fn wrong(what: &str) -> Error {
    Error::config(format!("sasl.jaas.config {what}: {FORM}"))
}

/// Reads the value.
pub(crate) fn parse(text: &str) -> Result<Login, Error> {
    let mut tokens = Tokens { rest: text };
    let module = match tokens.next()? {
        Some(Token::Word(name)) => module(&name)?,
        Some(_) => return Err(wrong("does not begin with the class of a login module")),
        None => return Err(wrong("is empty")),
    };
    let flags = ["required", "requisite", "sufficient", "optional"];
    match tokens.next()? {
        Some(Token::Word(word)) if flags.iter().any(|flag| flag.eq_ignore_ascii_case(&word)) => {}
        _ => return Err(wrong("has no flag such as required after its login module")),
    }
    let mut options = Vec::new();
    loop {
        let name = match tokens.next()? {
            Some(Token::End) => break,
            Some(Token::Word(name)) => name,
            Some(Token::Equals) => return Err(wrong("has a = without a name before it")),
            None => return Err(wrong("does not end with a semicolon")),
        };
        let number = options.len() + 1;
        let is_set = matches!(tokens.next()?, Some(Token::Equals));
        match tokens.next() {
            Ok(Some(Token::Word(value))) if is_set => options.push((name.to_string(), value)),
            Err(error) => return Err(error),
            _ => return Err(wrong(&format!("has no value for its option {number}"))),
        }
    }
    match tokens.next()? {
        None => Ok(Login { module, options }),
        Some(_) => Err(wrong("has something after its semicolon, and one login module is all that a client has")),
    }
}

/// The module of a class. Some programs relocate Kafka's classes, so that only the end of the name is theirs.
fn module(class: &str) -> Result<Module, Error> {
    match class.rsplit('.').next().unwrap_or_default() {
        "IAMLoginModule" => Ok(Module::Iam),
        "OAuthBearerLoginModule" => Ok(Module::OAuthBearer),
        "PlainLoginModule" => Ok(Module::Plain),
        "ScramLoginModule" => Ok(Module::Scram),
        "Krb5LoginModule" => Err(Error::config(
            "sasl.jaas.config names Kerberos, which is not built in: implement ottla::sasl::Mechanism for it and call ClientBuilder::sasl",
        )),
        _ => Err(wrong(
            "names none of the modules PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule and IAMLoginModule",
        )),
    }
}

enum Token {
    Word(Zeroizing<String>),
    Equals,
    /// A semicolon.
    End,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<Token>, Error> {
        self.skip_blanks()?;
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return Ok(None) };
        match first {
            '=' | ';' => {
                self.rest = chars.as_str();
                Ok(Some(if first == '=' { Token::Equals } else { Token::End }))
            }
            '"' | '\'' => {
                self.rest = chars.as_str();
                self.quoted(first).map(Some)
            }
            _ => self.word().map(Some),
        }
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) -> Result<(), Error> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| wrong("has a comment without an end"))?;
                self.rest = &comment[end + 2..];
            } else if self.rest.starts_with("//") {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
            } else {
                return Ok(());
            }
        }
    }

    /// A word without quotation marks. Java takes one that begins like a number for a number, and then for no value.
    fn word(&mut self) -> Result<Token, Error> {
        let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '$');
        let end = self.rest.find(|c| !is_of_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
            return Err(wrong("has a value that needs quotation marks around it"));
        }
        self.rest = rest;
        Ok(Token::Word(Zeroizing::new(word.to_owned())))
    }

    /// The rest of a text in quotation marks, with Java's escapes.
    fn quoted(&mut self, mark: char) -> Result<Token, Error> {
        // As long as it can be, so that no shorter copy of a secret is left in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(self.rest.len()));
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some(c) if c == mark => break,
                Some('\\') => text.push(escape(&mut chars)?),
                Some('\n' | '\r') | None => return Err(wrong("has a quotation mark without a second one")),
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(Token::Word(text))
    }
}

/// The character of an escape: a letter's, up to three octal digits', or any other character itself.
fn escape(chars: &mut std::str::Chars<'_>) -> Result<char, Error> {
    let first = chars.next().ok_or_else(|| wrong("ends within an escape"))?;
    let Some(mut code) = first.to_digit(8) else {
        return Ok(match first {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        });
    };
    for _ in 0..if code <= 3 { 2 } else { 1 } {
        let mut ahead = chars.clone();
        let Some(digit) = ahead.next().and_then(|c| c.to_digit(8)) else { break };
        code = code * 8 + digit;
        *chars = ahead;
    }
    char::from_u32(code).ok_or_else(|| wrong("has an escape that is no character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    #[test]
    fn modules_are_read_with_their_options() {
        let text = "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=\"al;ice\" \
                    password='pa\"ss' /* a comment */ tokenauth=true; // the end";
        let login = parse(text).expect("a login");
        assert_eq!(login.module, Module::Scram);
        assert_eq!(login.option("username"), Some("al;ice"));
        assert_eq!(login.option("password"), Some("pa\"ss"));
        assert_eq!(login.option("tokenauth"), Some("true"));
        assert_eq!(login.option("nothing"), None);
        let text = "kafkashaded.org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule Required;";
        assert_eq!(parse(text).expect("a relocated class").module, Module::OAuthBearer);
    }

    #[test]
    fn escapes_are_those_of_java() {
        let text = format!(r#"{PLAIN} required username="a" password="\"\\\n\101\x\61z\0" password="{{b}}";"#);
        let login = parse(&text).expect("a login");
        assert_eq!(login.option("password"), Some("{b}"), "the last one counts");
        assert_eq!(login.options[1].1.as_str(), "\"\\\nAx1z\0");
    }

    #[test]
    fn errors_name_the_place_and_show_nothing() {
        for (text, what) in [
            ("", "is empty"),
            ("hunter2", "names none of the modules"),
            ("PlainLoginModule", "has no flag"),
            ("PlainLoginModule username=\"hunter2\";", "has no flag"),
            ("PlainLoginModule required username=\"a\" password=\"hunter2\"", "semicolon"),
            ("PlainLoginModule required username=\"a\" password=\"hunter2", "quotation mark"),
            ("PlainLoginModule required password=\"a\"hunter2;", "option 2"),
            ("PlainLoginModule required password=;", "option 1"),
            ("PlainLoginModule required password hunter2;", "option 1"),
            ("PlainLoginModule required password=7hunter2;", "quotation marks around"),
            ("PlainLoginModule required =hunter2;", "without a name"),
            ("PlainLoginModule required; hunter2", "after its semicolon"),
            ("PlainLoginModule required; PlainLoginModule required;", "after its semicolon"),
            ("PlainLoginModule required /* hunter2", "comment"),
            ("PlainLoginModule required password=\"hunter2\\", "escape"),
            ("PlainLoginModule required password=#hunter2;", "quotation marks around"),
            ("com.sun.security.auth.module.JndiLoginModule required hunter2=\"x\";", "names none of the modules"),
            ("com.sun.security.auth.module.Krb5LoginModule required keyTab=\"hunter2\";", "sasl::Mechanism"),
        ] {
            let Err(error) = parse(text) else { panic!("{text}") };
            let error = error.to_string();
            assert!(error.contains(what) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn no_text_panics() {
        let mut rng = fastrand::Rng::with_seed(9);
        let pieces = [
            "PlainLoginModule",
            " ",
            "required",
            "=",
            ";",
            "\"",
            "'",
            "\\",
            "/*",
            "*/",
            "//",
            "\n",
            "é",
            "7",
            "\\777",
            "a",
        ];
        for _ in 0..20_000 {
            let text: String = (0..rng.usize(0..14)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            let _ = parse(&text);
        }
    }
}
