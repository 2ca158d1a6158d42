/* SPDX-License-Identifier: Apache-2.0 */
/* Ends what race.h began: the test's own atomic steps do not stumble. */
#pragma pop_macro("atomic_load")
#pragma pop_macro("atomic_store")
#pragma pop_macro("atomic_exchange")
#pragma pop_macro("atomic_fetch_add")
#pragma pop_macro("atomic_compare_exchange_strong")
#pragma pop_macro("atomic_compare_exchange_weak")
