//! The parser of command lines: ITU-T V.250 section 5.

/// One command of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A letter, or `&` and a letter, followed by a number: `E0`, `&F`.
    Basic {
        /// The name in upper case.
        name: String,
        number: Option<u32>,
    },
    /// `D` and the rest of its part of the line, without spaces: V.250 section 6.3.1.
    Dial(String),
    /// A register command: `S3?` and `S3=13`.
    Register { number: u32, value: Option<u32> },
    /// `+NAME` and its verb.
    Extended {
        /// The name in upper case, with its `+`.
        name: String,
        verb: Verb,
    },
}

/// The type of an extended command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// `+NAME`
    Execute,
    /// `+NAME?`
    Read,
    /// `+NAME=?`
    Test,
    /// `+NAME=...`
    Set(Parameters),
}

/// The error for a line that cannot be parsed from the present position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The comma-separated parameters of a set command, without quotation marks. Omitted parameters are
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<String>);

impl Parameters {
    /// Returns the text of a parameter, if it is present.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the number in a parameter, or `None` if it is omitted.
    pub(super) fn number<N: std::str::FromStr>(&self, at: usize) -> Result<Option<N>, Malformed> {
        self.text(at).map(|text| text.parse().map_err(|_| Malformed)).transpose()
    }

    /// Returns the octets in a hexadecimal parameter, or `None` if it is omitted.
    pub(super) fn octets(&self, at: usize) -> Result<Option<Vec<u8>>, Malformed> {
        self.text(at).map(|text| hex::decode(text).map_err(|_| Malformed)).transpose()
    }

    /// Returns the number of parameters.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Iterates over the commands after `AT`. Iteration ends after a malformed command.
pub(super) struct Commands<'a> {
    rest: &'a str,
}

impl<'a> Commands<'a> {
    pub(super) fn of(body: &'a str) -> Self {
        Self { rest: body.trim_start() }
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rest.chars().next()?;
        let parsed = match first {
            'A'..='Z' | 'a'..='z' | '&' => basic(self.rest),
            // Any other character begins a manufacturer-specific command.
            '+' | '^' | '$' | '%' | '*' | '#' | '!' | '_' => extended(self.rest),
            _ => Err(Malformed),
        };
        let (command, rest) = match parsed {
            Ok((command, rest)) => (Ok(command), rest),
            // req: V.250-Malformed
            Err(malformed) => (Err(malformed), ""),
        };
        self.rest = rest.trim_start();
        Some(command)
    }
}

/// Parses a basic command: section 5.3. Basic commands follow each other without a separator.
fn basic(text: &str) -> Result<(Command, &str), Malformed> {
    let letter = text.find(|c: char| c.is_ascii_alphabetic()).filter(|at| *at <= 1).ok_or(Malformed)?;
    let (name, rest) = text.split_at_checked(letter.saturating_add(1)).ok_or(Malformed)?;
    let name = name.to_ascii_uppercase();
    if name == "D" {
        let (number, rest) = until_semicolon(rest)?;
        return Ok((Command::Dial(number.split_whitespace().collect()), rest));
    }
    let (number, rest) = digits(rest.trim_start())?;
    if name != "S" {
        return Ok((Command::Basic { name, number }, rest));
    }
    let number = number.ok_or(Malformed)?;
    if let Some(rest) = rest.strip_prefix('?') {
        return Ok((Command::Register { number, value: None }, rest));
    }
    let (value, rest) = digits(rest.strip_prefix('=').ok_or(Malformed)?.trim_start())?;
    Ok((Command::Register { number, value: Some(value.unwrap_or(0)) }, rest))
}

fn digits(text: &str) -> Result<(Option<u32>, &str), Malformed> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).ok_or(Malformed)?;
    match digits {
        "" => Ok((None, rest)),
        digits => digits.parse().map(|number| (Some(number), rest)).map_err(|_| Malformed),
    }
}

/// Parses an extended command: section 5.4. Extended commands are separated by semicolons.
fn extended(text: &str) -> Result<(Command, &str), Malformed> {
    let (command, rest) = until_semicolon(text)?;
    let end = command.find(['=', '?']).unwrap_or(command.len());
    let (name, verb) = command.split_at_checked(end).ok_or(Malformed)?;
    let verb = match verb.trim() {
        "" => Verb::Execute,
        "?" => Verb::Read,
        "=?" => Verb::Test,
        set => Verb::Set(parameters(set.strip_prefix('=').ok_or(Malformed)?)?),
    };
    Ok((Command::Extended { name: name.trim_end().to_ascii_uppercase(), verb }, rest))
}

fn until_semicolon(text: &str) -> Result<(&str, &str), Malformed> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ';' if !is_quoted => {
                let (command, rest) = text.split_at_checked(at).ok_or(Malformed)?;
                return Ok((command, rest.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    if is_quoted { Err(Malformed) } else { Ok((text, "")) }
}

/// Parses parameters. Spaces are significant only within quotation marks.
fn parameters(text: &str) -> Result<Parameters, Malformed> {
    let mut places = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => places.push(String::new()),
            ' ' if !is_quoted => {}
            c => places.last_mut().ok_or(Malformed)?.push(c),
        }
    }
    Ok(Parameters(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(body: &str) -> Vec<Result<Command, Malformed>> {
        Commands::of(body).collect()
    }

    fn basic(name: &str, number: Option<u32>) -> Result<Command, Malformed> {
        Ok(Command::Basic { name: name.into(), number })
    }

    fn extended(name: &str, verb: Verb) -> Result<Command, Malformed> {
        Ok(Command::Extended { name: name.into(), verb })
    }

    #[test]
    fn a_line_can_contain_commands_of_all_kinds() {
        let set = |places: &[&str]| Verb::Set(Parameters(places.iter().map(ToString::to_string).collect()));
        assert_eq!(commands(""), []);
        assert_eq!(commands(" E0 v1&F"), [basic("E", Some(0)), basic("V", Some(1)), basic("&F", None)]);
        assert_eq!(
            commands("S3=13S4?+CMEE=2;+cpin?;e1"),
            [
                Ok(Command::Register { number: 3, value: Some(13) }),
                Ok(Command::Register { number: 4, value: None }),
                extended("+CMEE", set(&["2"])),
                extended("+CPIN", Verb::Read),
                basic("E", Some(1)),
            ]
        );
        assert_eq!(
            commands("+CLCK=\"a;b , c\", 2,,x;+CGLA=?;+CIMI"),
            [
                extended("+CLCK", set(&["a;b , c", "2", "", "x"])),
                extended("+CGLA", Verb::Test),
                extended("+CIMI", Verb::Execute),
            ]
        );
    }

    #[test]
    fn a_dialled_number_extends_to_the_semicolon() {
        assert_eq!(commands("DT*99***1#"), [Ok(Command::Dial("T*99***1#".into()))]);
        assert_eq!(
            commands("E1D 12 3;+CIMI"),
            [basic("E", Some(1)), Ok(Command::Dial("123".into())), extended("+CIMI", Verb::Execute),]
        );
    }

    // req: V.250-Malformed
    #[test]
    fn parsing_ends_after_a_malformed_command() {
        assert_eq!(commands("E1)E0"), [basic("E", Some(1)), Err(Malformed)]);
        for body in ["&1", "S", "S3", "S3=13;", "E99999999999", "+CPIN=\"1234", "+CPIN?x", "é", "/"] {
            assert_eq!(commands(body).last(), Some(&Err(Malformed)), "{body}");
        }
    }

    #[test]
    fn parameters_are_parsed_by_type() {
        let parameters = parameters("1,\"00a4\",,x,999").unwrap();
        assert_eq!(parameters.number::<u32>(0), Ok(Some(1)));
        assert_eq!(parameters.octets(1), Ok(Some(vec![0x00, 0xA4])));
        assert_eq!(parameters.number::<u32>(2), Ok(None));
        assert_eq!(parameters.number::<u32>(3), Err(Malformed));
        assert_eq!(parameters.octets(0), Err(Malformed));
        assert_eq!(parameters.number::<u8>(4), Err(Malformed));
        assert_eq!((parameters.text(9), parameters.len()), (None, 5));
    }
}
