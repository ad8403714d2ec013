//! Requests for text: one answer as JSON, or a stream while it is made, in any protocol.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, StreamExt, unfold};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wisp_api::{
    Endpoint, Framing, GenerationRequest, Head, MessagesRequest, MessagesWriter, OllamaEndpoint,
    OllamaRequest, OllamaWriter, Protocol, ResponseWriter, ResponsesRequest, ResponsesWriter,
    Writer,
};
use wisp_base::Error;
use wisp_runtime::{Answer, Event, Prompt, Request};
use wisp_tokenizer::Tokenizer;

use super::failure::{Failure, JSON};
use super::models::Model;
use super::texts;
use super::{Phase, Server};
use crate::args::any_seed;

type Answered = Result<Response, Failure>;

/// Makes what writes an answer to a prompt of so many tokens.
type MakeWriter = Box<dyn for<'a> Fn(&'a Tokenizer, usize) -> Box<dyn Writer + 'a> + Send>;

/// Hears of the whole answer.
type AtEnd = Box<dyn FnOnce(&str) + Send>;

/// What an answer is to look like.
struct Form {
    protocol: Protocol,
    framing: Framing,
    stream: bool,
    writer: MakeWriter,
    at_end: Option<AtEnd>,
}

impl Form {
    fn new(protocol: Protocol, stream: bool, writer: MakeWriter) -> Self {
        Self { protocol, framing: protocol.framing(), stream, writer, at_end: None }
    }
}

/// `/v1/chat/completions`, `/v1/completions`
pub async fn openai(server: Arc<Server>, endpoint: Endpoint, body: &str) -> Answered {
    let GenerationRequest { model, request, form } =
        GenerationRequest::read(endpoint, body, any_seed())?;
    let model = server.models.named(model.as_deref())?;
    let head = head(endpoint.id(&unique()), &model);
    let writer: MakeWriter =
        Box::new(move |tokenizer, _| Box::new(ResponseWriter::new(head.clone(), tokenizer, form)));
    answer(server, model, request, Form::new(Protocol::OpenAi, form.stream, writer)).await
}

/// `/v1/responses`
pub async fn responses(server: Arc<Server>, body: &str) -> Answered {
    let asked = ResponsesRequest::read(body, any_seed())?;
    let model = server.models.named(asked.model.as_deref())?;
    let before = match &asked.previous {
        Some(id) => server.conversations.find(id)?,
        None => Vec::new(),
    };
    let request = asked.request(&before);
    let head = head(format!("resp_{}", unique()), &model);
    let (memory, id) = (server.clone(), head.id.clone());
    let mut messages = [before, asked.messages.clone()].concat();
    let at_end: AtEnd = Box::new(move |text| {
        messages.push(json!({"role": "assistant", "content": text}));
        memory.conversations.keep(id, messages);
    });
    let (stream, at_end) = (asked.stream, asked.store.then_some(at_end));
    let writer: MakeWriter =
        Box::new(move |_, _| Box::new(ResponsesWriter::new(head.clone(), &asked)));
    let form = Form::new(Protocol::OpenAi, stream, writer);
    answer(server, model, request, Form { framing: Framing::NamedEvents, at_end, ..form }).await
}

/// `/v1/messages`
pub async fn messages(server: Arc<Server>, body: &str) -> Answered {
    let MessagesRequest { model, request, stream } = MessagesRequest::read(body, any_seed())?;
    let model = server.models.named(model.as_deref())?;
    let head = head(format!("msg_{}", unique()), &model);
    let writer: MakeWriter = Box::new(move |_, prompt_tokens| {
        Box::new(MessagesWriter::new(head.clone(), stream, prompt_tokens))
    });
    answer(server, model, request, Form::new(Protocol::Anthropic, stream, writer)).await
}

/// `/api/chat`, `/api/generate`
pub async fn ollama(server: Arc<Server>, endpoint: OllamaEndpoint, body: &str) -> Answered {
    let OllamaRequest { model, request, stream } = OllamaRequest::read(endpoint, body, any_seed())?;
    let model = server.models.named(Some(&model))?;
    let (name, now) = (model.name.clone(), super::ollama::now());
    let writer = move || OllamaWriter::new(endpoint, name.clone(), now.clone(), stream);
    let Some(request) = request else {
        server.models.engine(&model).await?;
        return Ok((JSON, writer().loaded()).into_response());
    };
    let writer: MakeWriter = Box::new(move |_, _| Box::new(writer()));
    answer(server, model, request, Form::new(Protocol::Ollama, stream, writer)).await
}

fn head(id: String, model: &Model) -> Head {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Head { id, created, model: model.name.clone() }
}

fn unique() -> String {
    format!("{:016x}", any_seed())
}

/// Answers a request for text.
async fn answer(
    server: Arc<Server>,
    model: Arc<Model>,
    request: Request<Prompt>,
    form: Form,
) -> Answered {
    let place = model.place()?;
    let handle = server.models.engine(&model).await?;
    let tokenizer = handle.tokenizer()?;
    // Templates and tokenizers take a while over long prompts: other requests go on meanwhile.
    let (answer, place) = texts::blocking(move || Ok((handle.submit(request)?, place))).await?;
    let stream = form.stream;
    let going = Going { server, answer, tokenizer, form };
    if !stream {
        let whole = going.whole().await;
        drop(place);
        return whole;
    }
    let framing = going.form.framing;
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        tokio::select! {
            // The client is gone.
            () = sender.closed() => {}
            () = going.tell(&sender) => {}
        }
        drop(place);
    });
    Ok(streamed(receiver, framing))
}

/// A part of a stream.
enum Part {
    Text(String),
    /// For people: what a client does not read.
    Comment(&'static str),
}

/// An answer on its way out.
struct Going {
    server: Arc<Server>,
    answer: Answer,
    tokenizer: Arc<Tokenizer>,
    form: Form,
}

impl Going {
    /// The answer as one object. Dropping the future, as a client does that goes away, ends it.
    async fn whole(mut self) -> Answered {
        let (sender, mut receiver) = unbounded_channel();
        self.run(&sender).await?;
        drop(sender);
        let mut whole = String::new();
        while let Some(part) = receiver.recv().await {
            if let Part::Text(text) = part {
                whole.push_str(&text);
            }
        }
        Ok((JSON, whole).into_response())
    }

    /// Sends the answer's parts, and what went wrong as the last.
    async fn tell(mut self, to: &UnboundedSender<Part>) {
        let last = match self.run(to).await {
            Err(failure) => Some(failure.json(self.form.protocol)),
            Ok(()) => (self.form.framing == Framing::Events).then(|| "[DONE]".into()),
        };
        // Where nobody listens any more, this future is dropped.
        let _ = last.map(|text| to.send(Part::Text(text)));
    }

    /// Sends the answer's parts, to its end.
    async fn run(&mut self, to: &UnboundedSender<Part>) -> Result<(), Failure> {
        let send = |part: Part| {
            let _ = to.send(part);
        };
        let prompt = self.answer.prompt_tokens();
        let mut writer = (self.form.writer)(&self.tokenizer, prompt);
        writer.start().into_iter().map(Part::Text).for_each(send);
        loop {
            let event = tokio::select! {
                event = self.answer.next() => event,
                () = self.server.reached(Phase::Ended) => {
                    let message = "the server is ending: try again later";
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Err(Failure::new(status, "shutting_down", message));
                }
            };
            match event {
                Some(Event::Piece(piece)) => {
                    writer.piece(&piece).into_iter().map(Part::Text).for_each(send);
                }
                Some(Event::DeviceLost(_)) => send(Part::Comment("the GPU was lost")),
                Some(Event::DeviceRestored) => send(Part::Comment("another GPU goes on")),
                Some(Event::Done(done)) => {
                    let completion = done?;
                    self.server.metrics.generated(prompt, &completion);
                    if let Some(at_end) = self.form.at_end.take() {
                        at_end(&completion.text);
                    }
                    writer.end(&completion, prompt)?.into_iter().map(Part::Text).for_each(send);
                    return Ok(());
                }
                None => return Err(Error::Cancelled.into()),
            }
        }
    }
}

/// The body of a stream.
fn streamed(receiver: UnboundedReceiver<Part>, framing: Framing) -> Response {
    let parts = unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    match framing {
        Framing::Lines => lines(parts),
        Framing::Events => events(parts, |_| None),
        Framing::NamedEvents => events(parts, |text| {
            let value: Value = serde_json::from_str(text).ok()?;
            Some(value.get("type")?.as_str()?.to_owned())
        }),
    }
}

fn lines(parts: impl Stream<Item = Part> + Send + 'static) -> Response {
    let lines = parts.map(|part| match part {
        Part::Text(text) => Ok::<_, Infallible>(text + "\n"),
        Part::Comment(_) => Ok(String::new()),
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

fn events(
    parts: impl Stream<Item = Part> + Send + 'static,
    name: fn(&str) -> Option<String>,
) -> Response {
    let events = parts.map(move |part| {
        Ok::<_, Infallible>(match part {
            Part::Text(text) => match name(&text) {
                Some(name) => Sent::default().event(name).data(text),
                None => Sent::default().data(text),
            },
            Part::Comment(text) => Sent::default().comment(text),
        })
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
