// interface fragment: matrices that a subgroup holds together, SIZE × SIZE. Here 8 × 8.
const SIZE: u32 = 8u;
alias FragmentX = coop_mat8x8<f16, A>;
alias FragmentW = coop_mat8x8<f16, B>;
alias FragmentY = coop_mat8x8<f32, C>;
