// What attention sums: the values, or in latent attention (DeepSeek-V2) the keys again,
// whose first numbers are the values.
const LATENT: bool = false;

fn attended4(index4: u32) -> vec4f {
    if (LATENT) {
        return key4(index4);
    }
    return value4(index4);
}
