//! Pipelines from linked kernels, and bind groups by variable name.

use std::sync::Arc;

use wisp_base::{Error, Result};

use crate::device::Gpu;
use crate::link::{Declared, Kernel, link_replacing};

/// A compiled kernel.
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) raw: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    declared: Vec<Declared>,
    name: &'static str,
}

/// A range of a buffer, bound to a variable of a shader.
#[derive(Debug, Clone)]
pub struct Binding<'a> {
    /// The variable's name.
    pub name: &'a str,
    /// The buffer.
    pub buffer: &'a wgpu::Buffer,
    /// First byte; a multiple of 256.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

impl<'a> Binding<'a> {
    /// A whole buffer.
    pub fn whole(name: &'a str, buffer: &'a wgpu::Buffer) -> Self {
        Self { name, buffer, offset: 0, bytes: buffer.size() }
    }
}

impl Gpu {
    /// The pipeline of `kernel`, compiled at its first use on this device.
    ///
    /// # Errors
    /// A shader that does not link or compile, with the file and line at fault.
    pub async fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        if let Some(found) = self.pipelines().get(kernel) {
            return Ok(found.clone());
        }
        let linked = self.watched(link_replacing(kernel, &self.replaced())?);
        let kept = self.kept();
        let device = self.device();
        let entries: Vec<_> = linked
            .bindings
            .iter()
            .map(|declared| wgpu::BindGroupLayoutEntry {
                binding: declared.index,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: !declared.writes },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let name = kernel.name;
        let build = || {
            let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(name),
                entries: &entries,
            });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let module = trusted(
                device,
                wgpu::ShaderModuleDescriptor {
                    label: Some(name),
                    source: wgpu::ShaderSource::Wgsl(linked.source.as_str().into()),
                },
            );
            let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: kept.map(|kept| &kept.cache),
            });
            (raw, layout)
        };
        let (raw, layout) = self
            .catch(build)
            .await
            .map_err(|e| Error::device(format!("shader {name}: {}", located(&e, &linked))))?;
        if let Some(kept) = kept {
            kept.note_compiled();
        }
        let pipeline = Arc::new(Pipeline { raw, layout, declared: linked.bindings.clone(), name });
        self.pipelines().insert(kernel.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Binds buffers to the variables that `pipeline` declares.
    ///
    /// # Errors
    /// A declared variable without a buffer, or (a bug in a plan) one buffer
    /// bound both for reading and for writing.
    pub fn bind(&self, pipeline: &Pipeline, bindings: &[Binding<'_>]) -> Result<wgpu::BindGroup> {
        let mut entries = Vec::with_capacity(pipeline.declared.len());
        let mut used: Vec<(&wgpu::Buffer, bool, &str)> = Vec::new();
        let watching = self.watching();
        for declared in &pipeline.declared {
            let mut bindings = bindings.iter().chain(&watching);
            let found = bindings.find(|b| b.name == declared.name).ok_or_else(|| {
                Error::device(format!(
                    "shader {}: no buffer is bound to `{}`",
                    pipeline.name, declared.name
                ))
            })?;
            let clash = used.iter().find(|(buffer, writes, _)| {
                *buffer == found.buffer && (*writes || declared.writes)
            });
            if let Some((_, _, other)) = clash {
                return Err(Error::device(format!(
                    "shader {}: `{other}` and `{}` share a buffer that is written",
                    pipeline.name, declared.name
                )));
            }
            used.push((found.buffer, declared.writes, &declared.name));
            entries.push(wgpu::BindGroupEntry {
                binding: declared.index,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: found.buffer,
                    offset: found.offset,
                    size: std::num::NonZeroU64::new(found.bytes),
                }),
            });
        }
        Ok(self.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(pipeline.name),
            layout: &pipeline.layout,
            entries: &entries,
        }))
    }
}

impl Pipeline {
    /// Whether the shader writes its variable `name`; `None` if it declares none.
    pub fn writes(&self, name: &str) -> Option<bool> {
        self.declared.iter().find(|d| d.name == name).map(|d| d.writes)
    }

    /// Records a dispatch; a group count of zero records nothing.
    pub fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bind_group: &wgpu::BindGroup,
        groups: [u32; 3],
    ) {
        if groups.contains(&0) {
            return;
        }
        pass.set_pipeline(&self.raw);
        pass.set_bind_group(0, bind_group, &[]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
    }
}

/// Compiles without the checks that wgpu adds to every load and loop: they cost
/// up to 19 % on a matrix product. The kernels are this repository's own; guard
/// words around outputs test that none leaves its bounds.
#[allow(unsafe_code)]
fn trusted(device: &wgpu::Device, shader: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: kernels index within their bindings for every step that
    // `wisp_graph::Step::check` lets through.
    unsafe { device.create_shader_module_trusted(shader, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// The compiler's message with `wgsl:12:5` told as a file of `shaders/`.
fn located(message: &Error, linked: &crate::link::Linked) -> String {
    let message = message.to_string();
    let line = message.split("wgsl:").nth(1).and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok())
    });
    match line {
        Some(line) => format!("{}: {message}", linked.origin(line)),
        None => message,
    }
}
