//! Chat templates: Jinja as Hugging Face's transformers runs it.
//!
//! A template comes with a model file and may be hostile. It can reach nothing but
//! its arguments; its time and memory are bounded by fuel, as far as minijinja
//! counts (the crate's README says where it does not).

mod arguments;
mod filters;
mod format;
mod json;
mod measure;
mod messages;
mod percent;
mod plain;
mod python;
mod repr;
mod source;
mod strings;
mod time;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};

/// What rendering may use up: an instruction or 64 bytes of text each take one.
/// A conversation of 1,000 messages takes about 100,000.
const FUEL: u64 = 1_000_000;

/// How deep a template may nest; a macro's call counts 10 or so.
const DEPTH: usize = 300;

/// The longest template, in bytes. Those of today's models have up to 20,000.
const SOURCE: usize = 1 << 17;

/// A template can make a list in a list in a list…, a level with every 8 units of
/// fuel, and dropping it takes stack for each; so does reading `not not not …`. Only what is
/// used takes memory.
const STACK: usize = 256 << 20;

const NAME: &str = "chat template";

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: Option<String>,
    eos: Option<String>,
    stop: &'static [&'static str],
}

impl ChatTemplate {
    /// `bos` and `eos` are the texts that the template sees as `bos_token` and
    /// `eos_token`.
    ///
    /// # Errors
    /// `source` is not a Jinja template.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Self> {
        if source.len() > SOURCE {
            return Err(Error::unsupported(format!(
                "the model's chat template has {} bytes; {SOURCE} is the most that is read",
                source.len()
            )));
        }
        let environment = on_large_stack(|| compile(source))?;
        let (bos, eos) = (bos.map(String::from), eos.map(String::from));
        Ok(Self { environment, bos, eos, stop: &[] })
    }

    /// For a model that brings no template: a dialogue of `User:` and `Assistant:`, which
    /// begins with the text `bos`.
    ///
    /// # Errors
    /// None that input could cause.
    pub fn plain(bos: Option<&str>) -> Result<Self> {
        Ok(Self { stop: plain::STOP, ..Self::new(plain::TEMPLATE, bos, None)? })
    }

    /// The texts before which an answer ends, besides at the tokens that end it.
    pub fn stop(&self) -> &'static [&'static str] {
        self.stop
    }

    /// The prompt for `messages`, a list of `{"role": …, "content": …}` objects.
    /// `tools` is what the template sees as `tools`; `add_generation_prompt` asks
    /// for the beginning of the assistant's next message.
    ///
    /// # Errors
    /// `messages` is not such a list, the template refuses it (it says why), or it
    /// uses more time or memory than a template should.
    pub fn render(
        &self,
        messages: &Json,
        tools: Option<&Json>,
        add_generation_prompt: bool,
    ) -> Result<String> {
        self.render_with(messages, tools, add_generation_prompt, &Map::new())
    }

    /// [`render`](Self::render) with `more` names that a template may ask for, such as
    /// `enable_thinking` or `documents`.
    ///
    /// # Errors
    /// As `render`.
    pub fn render_with(
        &self,
        messages: &Json,
        tools: Option<&Json>,
        add_generation_prompt: bool,
        more: &Map<String, Json>,
    ) -> Result<String> {
        messages::check(messages)?;
        let messages = messages::with_reasoning(messages);
        on_large_stack(|| self.run(&messages, tools, add_generation_prompt, more))
    }

    fn run(
        &self,
        messages: &Json,
        tools: Option<&Json>,
        prompt: bool,
        more: &Map<String, Json>,
    ) -> Result<String> {
        let mut context = vec![
            ("messages", Value::from(Serde(messages))),
            ("tools", tools.map_or(Value::from(()), |tools| Value::from(Serde(tools)))),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(prompt)),
        ];
        // As in transformers, a token that the model has not is not defined.
        context.extend(self.bos.as_deref().map(|bos| ("bos_token", Value::from(bos))));
        context.extend(self.eos.as_deref().map(|eos| ("eos_token", Value::from(eos))));
        context.extend(more.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|cause| describe("cannot be read", &cause))?;
        template
            .render(Value::from_pairs(context))
            .map_err(|cause| describe("cannot be used for these messages", &cause))
    }
}

fn compile(source: &str) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|cause| describe("cannot be read", &cause))?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_unknown_method_callback(python::method);
    environment.set_formatter(measure::write);
    environment.add_filter("tojson", json::filter);
    environment.add_filter("string", measure::string);
    filters::add(&mut environment);
    environment.add_test("callable", python::is_callable);
    environment.add_test("iterable", python::is_iterable);
    environment.add_test("sequence", python::is_sequence);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", time::strftime_now);
    environment
        .add_template_owned(NAME, source::translate(source))
        .map_err(|cause| describe("cannot be read", &cause))?;
    Ok(environment)
}

/// Runs what a hostile template may make recurse.
fn on_large_stack<T: Send>(run: impl Fn() -> Result<T> + Sync) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, &run);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::input(
                "the model's chat template made the template engine fail: it is damaged or hostile",
            )),
            // A browser has no threads; there a hostile template ends its worker.
            Err(_) => run(),
        }
    })
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").finish_non_exhaustive()
    }
}

/// What a template says through `raise_exception`.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(state: &State, message: &Value) -> std::result::Result<Value, minijinja::Error> {
    measure::pay(state, message)?;
    let raised = Raised(message.to_string());
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, raised.to_string()).with_source(raised))
}

fn describe(what: &str, error: &minijinja::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(Raised(message)) = error.downcast_ref() {
            return Error::input(format!("the chat template refuses these messages: {message}"));
        }
        cause = error.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return Error::unsupported(
            "the model's chat template uses more time or memory than a template should: it is \
             damaged or hostile, or the conversation is too long for it",
        );
    }
    let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
    let kind = error.kind();
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Error::input(format!("the model's chat template {what}{line}: {kind}{detail}"))
}
