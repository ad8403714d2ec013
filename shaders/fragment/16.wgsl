// interface fragment: matrices that a subgroup holds together, SIZE × SIZE. Here 16 × 16.
const SIZE: u32 = 16u;
alias FragmentX = coop_mat16x16<f16, A>;
alias FragmentW = coop_mat16x16<f16, B>;
alias FragmentY = coop_mat16x16<f32, C>;
