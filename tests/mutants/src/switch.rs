//! Puts mutants into a source file, each behind its switch. With `MUTANT=7` in the environment,
//! mutant 7 is active; without it, the program behaves as before.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, BinOp, Block, Expr, ExprBinary, ExprStruct, ExprUnary, ImplItemFn, ItemFn, TraitItemFn};

use crate::list::{Genre, Mutant, Position};

/// A source file with switches.
pub(crate) struct Switched {
    pub(crate) source: String,
    /// The numbers of the mutants that the source contains. Some kinds of mutant cannot be
    /// switched, such as a condition with `let`.
    pub(crate) numbers: HashSet<u32>,
}

/// Puts `mutants`, with their numbers, into `source`.
pub(crate) fn switched(source: &str, mutants: &[(u32, &Mutant)]) -> Result<Switched, syn::Error> {
    let mut by_position: HashMap<Position, Vec<(u32, &Mutant)>> = HashMap::new();
    for (number, mutant) in mutants {
        by_position.entry(mutant.start()).or_default().push((*number, mutant));
    }
    let lines = [0].into_iter().chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut switches = Switches { source, lines, by_position, rewrites: Vec::new(), numbers: HashSet::new() };
    switches.visit_file(&syn::parse_file(source)?);
    let mut output = String::new();
    write(source, &switches.rewrites, 0..source.len(), None, &mut output);
    Ok(Switched { source: output, numbers: switches.numbers })
}

/// A replacement of a range of the source. An empty range is an insertion.
struct Rewrite {
    range: Range<usize>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    /// A range of the source, which may contain other rewrites.
    Source(Range<usize>),
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&Range<usize>> for Part {
    fn from(range: &Range<usize>) -> Self {
        Self::Source(range.clone())
    }
}

struct Switches<'s> {
    source: &'s str,
    /// The offset of each line.
    lines: Vec<usize>,
    by_position: HashMap<Position, Vec<(u32, &'s Mutant)>>,
    rewrites: Vec<Rewrite>,
    numbers: HashSet<u32>,
}

impl<'s> Switches<'s> {
    fn offset(&self, at: LineColumn) -> usize {
        let start = self.lines.get(at.line - 1).copied().unwrap_or(self.source.len());
        let rest = self.source.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(at.column).map_or(rest.len(), |(offset, _)| offset)
    }

    fn range(&self, spanned: &impl Spanned) -> Range<usize> {
        let span = spanned.span();
        self.offset(span.start())..self.offset(span.end())
    }

    /// Returns number and replacement of the mutants of this kind that start where `spanned` starts.
    fn mutants(&mut self, spanned: &impl Spanned, genre: Genre) -> Vec<(u32, &'s str)> {
        let LineColumn { line, column } = spanned.span().start();
        let here = self.by_position.get(&Position { line, column: column + 1 });
        let mutants = here.into_iter().flatten().filter(|(_, mutant)| mutant.genre == genre);
        mutants.map(|(number, mutant)| (*number, mutant.replacement.as_str())).collect()
    }

    fn rewrite(&mut self, mutants: &[(u32, &str)], range: Range<usize>, parts: Vec<Part>) {
        self.numbers.extend(mutants.iter().map(|(number, _)| number));
        self.rewrites.push(Rewrite { range, parts });
    }

    /// Inserts an early return for each value that a mutant returns.
    fn body(&mut self, block: &Block) {
        let Some(first) = block.stmts.first() else { return };
        let mutants = self.mutants(first, Genre::FnValue);
        if mutants.is_empty() {
            return;
        }
        let at = self.range(first).start;
        let returns: String = mutants
            .iter()
            .map(|(number, value)| format!("if {} {{ return {value}; }} ", on(*number)))
            .collect();
        self.rewrite(&mutants, at..at, vec![returns.into()]);
    }
}

/// The call of the switch of one mutant.
fn on(number: u32) -> String {
    format!("::mutant_switch::on({number})")
}

/// Returns true if the expression is a condition with `let`, whose variables a copy would not have.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}

impl<'a> Visit<'a> for Switches<'_> {
    fn visit_item_fn(&mut self, function: &'a ItemFn) {
        self.body(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.body(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(block) = &function.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_expr_binary(&mut self, binary: &'a ExprBinary) {
        let mutants = self.mutants(&binary.op, Genre::BinaryOperator);
        if !mutants.is_empty() && !has_let(&binary.left) && !has_let(&binary.right) {
            let (left, right) = (self.range(&binary.left), self.range(&binary.right));
            let operator = self.source.get(self.range(&binary.op)).unwrap_or_default();
            let parts = operation(&binary.op, operator, &left, &right, &mutants);
            self.rewrite(&mutants, self.range(binary), parts);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'a ExprUnary) {
        let mutants = self.mutants(&unary.op, Genre::UnaryOperator);
        if let [(number, _)] = mutants.as_slice() {
            let operator = self.source.get(self.range(&unary.op)).unwrap_or_default();
            let choice = format!("; if {} {{ operand }} else {{ {operator}operand }} }})", on(*number));
            let parts = vec!["({ let operand = ".into(), (&self.range(&unary.expr)).into(), choice.into()];
            self.rewrite(&mutants, self.range(unary), parts);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, structure: &'a ExprStruct) {
        for field in &structure.fields {
            let (removed, Some(rest)) = (self.mutants(field, Genre::StructField), &structure.rest) else {
                continue;
            };
            let [(number, _)] = removed.as_slice() else { continue };
            let (path, name) = (self.range(&structure.path), self.range(&field.member));
            let parts = vec![
                (&name).into(),
                format!(": if {} {{ let rest: ", on(*number)).into(),
                (&path).into(),
                " = ".into(),
                (&self.range(rest.as_ref())).into(),
                "; rest.".into(),
                (&name).into(),
                " } else { ".into(),
                (&self.range(&field.expr)).into(),
                " }".into(),
            ];
            self.rewrite(&removed, self.range(field), parts);
        }
        visit::visit_expr_struct(self, structure);
    }

    fn visit_arm(&mut self, arm: &'a Arm) {
        let removed = self.mutants(arm, Genre::MatchArm);
        match &arm.guard {
            None if !removed.is_empty() => {
                let at = self.range(&arm.pat).end;
                let guard: Vec<String> =
                    removed.iter().map(|(number, _)| format!("!{}", on(*number))).collect();
                self.rewrite(&removed, at..at, vec![format!(" if {}", guard.join(" && ")).into()]);
            }
            None => {}
            Some((_, guard)) => {
                let constant = self.mutants(guard, Genre::MatchArmGuard);
                let mutants = [removed.as_slice(), constant.as_slice()].concat();
                if !mutants.is_empty() && !has_let(guard) {
                    let range = self.range(guard);
                    self.rewrite(&mutants, range.clone(), guard_parts(&removed, &constant, &range));
                }
            }
        }
        visit::visit_arm(self, arm);
    }
}

/// A binary operation in which each mutant has another operator. Both operands are evaluated once,
/// as in the original; the right operand of `&&` and `||` only when it is needed.
fn operation(
    op: &BinOp,
    operator: &str,
    left: &Range<usize>,
    right: &Range<usize>,
    mutants: &[(u32, &str)],
) -> Vec<Part> {
    use BinOp::{And, Eq, Ge, Gt, Le, Lt, Ne, Or};

    let choices = |left: &str, right: &str| -> String {
        let mutated: String = mutants
            .iter()
            .map(|(number, other)| format!("if {} {{ {left} {other} {right} }} else ", on(*number)))
            .collect();
        format!("{mutated}{{ {left} {operator} {right} }}")
    };
    match op {
        Eq(_) | Ne(_) | Lt(_) | Le(_) | Gt(_) | Ge(_) => vec![
            "(match (&(".into(),
            left.into(),
            "), &(".into(),
            right.into(),
            format!(")) {{ (left, right) => {} }})", choices("left", "right")).into(),
        ],
        And(_) | Or(_) => {
            let mut parts = vec!["({ let left = ".into(), left.into(), "; ".into()];
            for (number, other) in mutants {
                parts.push(format!("if {} {{ left {other} ", on(*number)).into());
                parts.push(right.into());
                parts.push(" } else ".into());
            }
            parts.extend([format!("{{ left {operator} ").into(), right.into(), " } })".into()]);
            parts
        }
        _ if operator.ends_with('=') => {
            let mut parts = vec!["{ ".into()];
            for (number, other) in mutants {
                parts.push(format!("if {} {{ ", on(*number)).into());
                parts.extend([left.into(), format!(" {other} ").into(), right.into(), "; } else ".into()]);
            }
            parts.extend([
                "{ ".into(),
                left.into(),
                format!(" {operator} ").into(),
                right.into(),
                "; } }".into(),
            ]);
            parts
        }
        _ => vec![
            "({ let left = ".into(),
            left.into(),
            "; let right = ".into(),
            right.into(),
            format!("; {} }})", choices("left", "right")).into(),
        ],
    }
}

/// The guard of an arm that mutants remove, or whose guard they make constant.
fn guard_parts(removed: &[(u32, &str)], constant: &[(u32, &str)], guard: &Range<usize>) -> Vec<Part> {
    let when = |value: &str, text: fn(u32) -> String| -> String {
        constant.iter().filter(|(_, other)| *other == value).map(|(number, _)| text(*number)).collect()
    };
    let kept: String = removed.iter().map(|(number, _)| format!("!{} && ", on(*number))).collect();
    let always = when("true", |number| format!("{} || ", on(number)));
    let never = when("false", |number| format!("!{} && ", on(number)));
    vec![format!("({kept}({always}({never}(").into(), guard.into(), "))))".into()]
}

/// Writes a range of the source with the rewrites in it. `outer` is the rewrite whose part this
/// range is; the visitor pushes a rewrite before the rewrites inside it.
fn write(source: &str, rewrites: &[Rewrite], range: Range<usize>, outer: Option<usize>, output: &mut String) {
    let first = outer.map_or(0, |outer| outer + 1);
    let mut inside: Vec<(usize, &Rewrite)> = rewrites
        .iter()
        .enumerate()
        .skip(first)
        .filter(|(_, rewrite)| rewrite.range.start >= range.start && rewrite.range.end <= range.end)
        .collect();
    // An insertion comes before a wider rewrite at the same place, and a wide one before a narrow one.
    inside.sort_by_key(|(_, rewrite)| {
        (rewrite.range.start, !rewrite.range.is_empty(), usize::MAX - rewrite.range.end)
    });
    let mut at = range.start;
    for (index, rewrite) in inside {
        if rewrite.range.start < at {
            continue;
        }
        output.push_str(source.get(at..rewrite.range.start).unwrap_or_default());
        for part in &rewrite.parts {
            match part {
                Part::Text(text) => output.push_str(text),
                Part::Source(inner) => write(source, rewrites, inner.clone(), Some(index), output),
            }
        }
        at = rewrite.range.end;
    }
    output.push_str(source.get(at..range.end).unwrap_or_default());
}
