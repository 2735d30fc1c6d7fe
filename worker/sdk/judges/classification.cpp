// The ready judge `classification`: the data source `dataset` is a folder that read_data_set()
// understands. Parameters besides those of judge_classification(): `validation`, the number of
// training examples held out (default: a tenth), and `probe`, the number of those kept for rungs
// (default: none, and so no early stopping).
#include <algorithm>
#include <cambrian/supervised.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  const SupervisedTask task = keep_data_set(session);
  std::int64_t largest = 0;
  for (const Examples* examples : {&task.train, &task.held_out}) {
    largest = std::max(largest, std::ranges::max(examples->targets.values<std::int64_t>()));
  }
  return judge_classification(session, task, largest + 1);
}
